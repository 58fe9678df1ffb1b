package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/extract"
)

// Headers that tell the client what was decided.
const (
	sessionHeader = "Affinity-Session"
	targetHeader  = "Affinity-Target"
	reasonHeader  = "Affinity-Reason"
)

// gateway is the handler of client requests.
type gateway struct {
	options
	log       *slog.Logger
	sel       *affinity.Selector[*upstream]
	fallback  affinity.Picker[*upstream]
	transport *http.Transport
	proxy     *httputil.ReverseProxy
	reasons   [affinity.ReasonSideCall + 1]atomic.Int64
}

// errNoUpstream says that none of the upstreams takes requests.
var errNoUpstream = errors.New("no upstream is available")

// newGateway returns a gateway. A fallback of nil is least work.
func newGateway(o options, extractor extract.Extractor, log *slog.Logger, fallback affinity.Picker[*upstream]) (*gateway, error) {
	if fallback == nil {
		fallback = &leastWork{}
	}
	g := &gateway{options: o, log: log, fallback: fallback}
	var err error
	g.sel, err = affinity.New(affinity.Config[*upstream]{
		ID:        func(u *upstream) string { return u.name },
		Fallback:  g.fallback,
		Extractor: extractor,
		Tenant:    tenant,
		TTL:       o.ttl,
		Capacity:  o.capacity,
	})
	if err != nil {
		return nil, err
	}
	g.transport = &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 10 * time.Minute,
		MaxIdleConnsPerHost:   256,
		IdleConnTimeout:       90 * time.Second,
		ForceAttemptHTTP2:     true,
		DisableCompression:    true, // what the client did not ask for it does not get
	}
	g.proxy = &httputil.ReverseProxy{
		Rewrite:       rewrite,
		Transport:     g,
		FlushInterval: -1,
		ErrorHandler:  g.fail,
		ErrorLog:      slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return g, nil
}

func (g *gateway) close() {
	g.sel.Close()
	g.transport.CloseIdleConnections()
}

// tenant is whose sessions a request can name: those of its credential.
func tenant(req *extract.Request) string {
	if key := extract.Credential(req); key != "" {
		return key
	}
	return req.Scope // the key in the query, if there is one
}

// exchangeKey leads from the context of a request to what its extractor sees.
type exchangeKey struct{}

// ServeHTTP implements http.Handler.
func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	req, err := extract.FromHTTP(r, g.bodyLimit)
	if err != nil {
		reply(w, http.StatusBadRequest, "bad_request", "the request's body could not be read")
		return
	}
	req.Scope = r.URL.Query().Get("key")
	g.proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), exchangeKey{}, req)))
}

// rewrite undoes what ReverseProxy takes away from a request before it asks.
func rewrite(p *httputil.ProxyRequest) {
	p.Out.URL.RawQuery = p.In.URL.RawQuery
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if v, ok := p.In.Header[name]; ok {
			p.Out.Header[name] = v
		}
	}
}

// RoundTrip implements http.RoundTripper: it selects an upstream, sends the
// request there, and once more to another if that one fails.
func (g *gateway) RoundTrip(out *http.Request) (*http.Response, error) {
	ctx := out.Context()
	req, _ := ctx.Value(exchangeKey{}).(*extract.Request)
	replayable := out.Body == nil || out.Body == http.NoBody || out.GetBody != nil
	var tried *upstream
	for {
		choice, err := g.choose(ctx, req, tried)
		if err != nil {
			return nil, err
		}
		attempt, err := prepare(out, choice.Target, tried != nil)
		if err != nil {
			return nil, err
		}
		resp, err := g.transport.RoundTrip(attempt)
		again := tried == nil && replayable
		switch {
		case err != nil && ctx.Err() != nil:
			choice.Done(affinity.Outcome{})
			return nil, ctx.Err()
		case err != nil:
			g.failed(choice, affinity.OutcomeOf(0, err), g.cooldown, "unreachable")
			if again = again && g.others(choice.Target); !again {
				return nil, err
			}
		case affinity.OutcomeOf(resp.StatusCode, nil).Result == affinity.TransientFailure && resp.StatusCode != http.StatusRequestTimeout:
			g.failed(choice, affinity.OutcomeOf(resp.StatusCode, nil), pause(resp, time.Now(), g.cooldown), resp.Status)
			if again = again && g.others(choice.Target); !again {
				return decide(resp, choice), nil
			}
			discard(resp.Body)
		default:
			return g.follow(ctx, out.URL.Path, decide(resp, choice), choice), nil
		}
		tried = choice.Target
	}
}

// choose selects an upstream among those that take requests, but for the one
// that was tried already.
func (g *gateway) choose(ctx context.Context, req *extract.Request, tried *upstream) (affinity.Selection[*upstream], error) {
	candidates := g.candidates(tried)
	if len(candidates) == 0 {
		return affinity.Selection[*upstream]{}, errNoUpstream
	}
	choice, err := g.sel.Select(ctx, req, candidates)
	if err != nil {
		return choice, err
	}
	g.reasons[choice.Reason].Add(1)
	choice.Target.requests.Add(1)
	switch choice.Reason {
	case affinity.ReasonBound, affinity.ReasonInherited, affinity.ReasonPinned:
		if w, ok := g.fallback.(*leastWork); ok {
			w.sent(choice.Target)
		}
	}
	g.log.Debug("selected", "target", choice.ID, "reason", choice.Reason, "session", choice.Session,
		"source", choice.Source, "confidence", choice.Confidence, "from", choice.From, "conversations", choice.Conversations)
	return choice, nil
}

func (g *gateway) candidates(tried *upstream) []*upstream {
	now := time.Now()
	list := make([]*upstream, 0, len(g.upstreams))
	for _, u := range g.upstreams {
		if u != tried && u.available(now) {
			list = append(list, u)
		}
	}
	return list
}

// others reports whether there is an upstream to try beside u.
func (g *gateway) others(u *upstream) bool { return len(g.candidates(u)) > 0 }

// prepare makes the request for one attempt. Attempts share nothing that either
// of them changes.
func prepare(out *http.Request, u *upstream, again bool) (*http.Request, error) {
	r := out.Clone(out.Context())
	if again && out.GetBody != nil && out.Body != nil && out.Body != http.NoBody {
		body, err := out.GetBody()
		if err != nil {
			return nil, err
		}
		r.Body = body
	}
	u.address(r)
	return r, nil
}

// failed reports a failure and leaves the upstream out for d.
func (g *gateway) failed(choice affinity.Selection[*upstream], o affinity.Outcome, d time.Duration, why string) {
	choice.Done(o)
	choice.Target.failures.Add(1)
	choice.Target.takeOut(time.Now(), d)
	g.log.Warn("upstream left out", "target", choice.ID, "for", d.Round(time.Millisecond), "why", why)
}

// decide writes what was decided into a response.
func decide(resp *http.Response, choice affinity.Selection[*upstream]) *http.Response {
	for _, name := range []string{sessionHeader, targetHeader, reasonHeader} {
		resp.Header.Del(name)
	}
	if s := choice.Session.String(); s != "" {
		resp.Header.Set(sessionHeader, s)
	}
	resp.Header.Set(targetHeader, choice.ID)
	resp.Header.Set(reasonHeader, choice.Reason.String())
	return resp
}

// follow watches the body of a response: how it ends is the outcome, and the
// state that it names is at this upstream.
func (g *gateway) follow(ctx context.Context, path string, resp *http.Response, choice affinity.Selection[*upstream]) *http.Response {
	outcome := affinity.OutcomeOf(resp.StatusCode, nil)
	b := &followed{ReadCloser: resp.Body, end: sync.OnceFunc(func() { choice.Done(outcome) })}
	b.broken = sync.OnceFunc(func() {
		if ctx.Err() == nil {
			g.failed(choice, affinity.Outcome{Result: affinity.TransientFailure}, g.cooldown, "broke off in mid-response")
		}
	})
	if outcome.Result == affinity.Served && keepsState(path, resp.Request) {
		b.states = extract.NewStateReader(choice.Learn)
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		b.end()
		if rw, ok := resp.Body.(io.ReadWriteCloser); ok {
			resp.Body = rw // ReverseProxy wants to write to it
			return resp
		}
	}
	resp.Body = b
	return resp
}

// keepsState reports whether the API at path keeps state that later requests
// can refer to. Others, which name every answer too, would fill the table.
func keepsState(path string, r *http.Request) bool {
	for _, word := range []string{"/responses", "/conversations", "/interactions", "/cachedContents", "/files", "/containers"} {
		if strings.Contains(path, word) {
			return true
		}
	}
	return r != nil && strings.Contains(r.Header.Get("Anthropic-Beta"), "message-threads")
}

// followed is the body of a response.
type followed struct {
	io.ReadCloser
	states *extract.StateReader // nil if there is nothing to learn
	end    func()               // it was read to its end
	broken func()               // it could not be
}

func (f *followed) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	if f.states != nil {
		f.states.Write(p[:n])
	}
	switch {
	case err == io.EOF:
		f.end()
	case err != nil:
		f.broken()
	}
	return n, err
}

// discard lets the connection be used again if what is left is not much.
func discard(body io.ReadCloser) {
	io.CopyN(io.Discard, body, 64<<10)
	body.Close()
}

// fail answers a request that no upstream has answered.
func (g *gateway) fail(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case r.Context().Err() != nil:
		panic(http.ErrAbortHandler) // nobody is listening
	case errors.Is(err, errNoUpstream) || errors.Is(err, affinity.ErrNoCandidates):
		if wait := g.wait(); wait > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
		}
		reply(w, http.StatusServiceUnavailable, "no_upstream_available", "all upstreams are out for now: try again later")
	default:
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		g.log.Debug("failed", "err", err)
		reply(w, http.StatusBadGateway, "upstream_failed", "the upstream could not be reached")
	}
}

// wait returns how long it takes until an upstream is back.
func (g *gateway) wait() time.Duration {
	soonest := time.Duration(math.MaxInt64)
	for _, u := range g.upstreams {
		soonest = min(soonest, time.Until(time.Unix(0, u.outUntil.Load())))
	}
	return soonest
}

func reply(w http.ResponseWriter, status int, kind, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"error": map[string]string{"type": kind, "message": message}})
}
