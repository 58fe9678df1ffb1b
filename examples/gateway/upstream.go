package main

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// An upstream is one place to send requests to.
type upstream struct {
	name string
	url  *url.URL
	key  string // the credential to use in place of the client's, or ""

	mu    sync.Mutex
	until time.Time // it is left out until then; zero if it is not
	asked bool      // it said so itself
}

// available reports whether the upstream takes requests, and whether that is
// news.
func (u *upstream) available(now time.Time) (ok, back bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if now.Before(u.until) {
		return false, false
	}
	back = !u.until.IsZero()
	u.until = time.Time{}
	return true, back
}

// outUntil returns when the upstream is back, or zero if it takes requests, and
// whether it has asked for that.
func (u *upstream) outUntil(now time.Time) (until time.Time, asked bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if now.Before(u.until) {
		return u.until, u.asked
	}
	return time.Time{}, false
}

// takeOut leaves the upstream out for d, or for longer if it is so already, and
// reports whether that is news.
func (u *upstream) takeOut(now time.Time, d time.Duration, asked bool) (news bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	news = !now.Before(u.until)
	if until := now.Add(d); until.After(u.until) {
		u.until, u.asked = until, asked
	}
	return news
}

// request returns the request to send for out, which is left as it is: attempts
// share nothing that one of them changes. The second result is nil if the body
// is in memory and can be sent again.
func (u *upstream) request(out *http.Request) (*http.Request, *upload) {
	r := out.Clone(out.Context())
	if u.key != "" {
		authorize(r, u.key)
	}
	(&httputil.ProxyRequest{Out: r}).SetURL(u.url)
	// To http.Transport this means: if a kept-alive connection turns out to be
	// closed before it gave an answer, open another one. The upstream is well,
	// and its sessions must not move for that.
	if len(r.Header["Idempotency-Key"]) == 0 {
		r.Header["Idempotency-Key"] = []string{} // none on the wire
	}
	switch {
	case out.Body == nil || out.Body == http.NoBody:
		return r, nil
	case out.GetBody != nil:
		r.Body, _ = out.GetBody() // from memory: it cannot fail
		return r, nil
	}
	body := &upload{from: out.Body}
	r.Body = body
	return r, body
}

// maxPause bounds how long an upstream can take itself out.
const maxPause = 5 * time.Minute

// pause returns for how long an upstream that answered like this asks to be left
// alone, or 0.
func pause(resp *http.Response, now time.Time) time.Duration {
	after := resp.Header.Get("Retry-After")
	var d time.Duration
	if s, err := strconv.ParseInt(after, 10, 64); err == nil {
		d = time.Duration(min(max(s, 0), int64(maxPause/time.Second))) * time.Second
	} else if t, err := http.ParseTime(after); err == nil {
		d = t.Sub(now)
	}
	return min(max(d, 0), maxPause)
}
