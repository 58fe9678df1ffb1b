package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// An upstream is one place to send requests to.
type upstream struct {
	name string
	url  *url.URL
	key  string // the credential to use in place of the client's, or ""

	outUntil atomic.Int64 // Unix nanoseconds
	requests atomic.Int64
	failures atomic.Int64
	work     work
}

// parseUpstream reads name=url[,key-env=VARIABLE].
func parseUpstream(s string, lookup func(string) (string, bool)) (*upstream, error) {
	name, rest, ok := strings.Cut(s, "=")
	if !ok || name == "" {
		return nil, fmt.Errorf("want name=url, as in a=https://host-a")
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == '/' }) {
		return nil, fmt.Errorf("the name %q must be printable and without spaces and slashes", name)
	}
	address, variable, hasKey := strings.Cut(rest, ",key-env=")
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("upstream %s: want an http or https URL, as in https://host-a", name)
	}
	up := &upstream{name: name, url: u}
	if hasKey {
		if up.key, _ = lookup(variable); up.key == "" {
			return nil, fmt.Errorf("upstream %s: the environment variable %s is not set: export it, or leave out key-env", name, variable)
		}
	}
	return up, nil
}

// available reports whether the upstream takes requests.
func (u *upstream) available(now time.Time) bool { return now.UnixNano() >= u.outUntil.Load() }

// takeOut leaves the upstream out for d, or longer if it is out for longer.
func (u *upstream) takeOut(now time.Time, d time.Duration) {
	until := now.Add(d).UnixNano()
	for {
		old := u.outUntil.Load()
		if old >= until || u.outUntil.CompareAndSwap(old, until) {
			return
		}
	}
}

// address points r at the upstream.
func (u *upstream) address(r *http.Request) {
	r.URL.Scheme, r.URL.Host, r.Host = u.url.Scheme, u.url.Host, u.url.Host
	if base := strings.TrimSuffix(u.url.EscapedPath(), "/"); base != "" {
		escaped := base + r.URL.EscapedPath()
		if path, err := url.PathUnescape(escaped); err == nil {
			r.URL.Path, r.URL.RawPath = path, escaped
		}
	}
	if u.key != "" {
		u.authorize(r)
	}
}

// authorize puts the upstream's credential where the client had its own, or
// where the API of that path wants it. The client's own is removed wherever it
// stands.
func (u *upstream) authorize(r *http.Request) {
	query := r.URL.Query()
	had := map[string]bool{"key": query.Has("key")}
	for _, name := range []string{"Authorization", "X-Api-Key", "Api-Key", "X-Goog-Api-Key"} {
		had[name] = len(r.Header[name]) > 0
		r.Header.Del(name)
	}
	if had["key"] {
		query.Del("key")
		r.URL.RawQuery = query.Encode()
	}
	gemini := strings.Contains(r.URL.Path, ":generateContent") || strings.Contains(r.URL.Path, ":streamGenerateContent") ||
		strings.Contains(r.URL.Path, "/v1beta/")
	switch {
	case had["X-Goog-Api-Key"] || had["key"]:
		r.Header.Set("X-Goog-Api-Key", u.key)
	case had["X-Api-Key"]:
		r.Header.Set("X-Api-Key", u.key)
	case had["Api-Key"]:
		r.Header.Set("Api-Key", u.key)
	case had["Authorization"]:
		r.Header.Set("Authorization", "Bearer "+u.key)
	case gemini:
		r.Header.Set("X-Goog-Api-Key", u.key)
	case strings.HasSuffix(r.URL.Path, "/messages") || strings.Contains(r.URL.Path, "/messages/"):
		r.Header.Set("X-Api-Key", u.key)
	default:
		r.Header.Set("Authorization", "Bearer "+u.key)
	}
}

// maxRetryAfter bounds how long an upstream can take itself out.
const maxRetryAfter = 5 * time.Minute

// pause returns how long to leave out an upstream that answered like this.
func pause(resp *http.Response, now time.Time, usual time.Duration) time.Duration {
	after := resp.Header.Get("Retry-After")
	d := usual
	if s, err := strconv.Atoi(after); err == nil && s >= 0 {
		d = time.Duration(min(s, int(maxRetryAfter/time.Second))) * time.Second
	} else if t, err := http.ParseTime(after); err == nil {
		d = t.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}
