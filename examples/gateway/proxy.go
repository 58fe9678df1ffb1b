package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/balance"
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
	counters  *counters
	transport *http.Transport
	proxy     *httputil.ReverseProxy
}

// selection is what the selector answers.
type selection = affinity.Selection[*upstream]

// newGateway returns a gateway. A fallback of nil means least cost.
func newGateway(o options, extractor extract.Extractor, log *slog.Logger, fallback affinity.Picker[*upstream]) (*gateway, error) {
	g := &gateway{options: o, log: log, counters: newCounters()}
	name := func(u *upstream) string { return u.name }
	if fallback == nil {
		fallback = balance.LeastCost(balance.CostConfig[*upstream]{ID: name})
	}
	var err error
	g.sel, err = affinity.New(affinity.Config[*upstream]{
		ID:        name,
		Fallback:  fallback,
		Failover:  o.failover,
		Extractor: extractor,
		Tenant:    tenant,
		TTL:       o.ttl,
		Capacity:  o.capacity,
	})
	if err != nil {
		return nil, err
	}
	// There is no limit to how long an answer may take once it has begun.
	g.transport = &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 10 * time.Minute,
		ExpectContinueTimeout: time.Second,
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

// exchange is one request of a client on its way through the gateway.
type exchange struct {
	req    *extract.Request
	choice *selection // the last one; nil if there is none
	status int        // of the response
	body   io.Closer  // of the response, if its end is awaited
	tries  int
}

// exchangeKey leads to the *exchange in the context of a request.
type exchangeKey struct{}

// ServeHTTP implements http.Handler.
func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	req, err := extract.FromHTTP(r, g.bodyLimit)
	if err != nil {
		reply(w, http.StatusBadRequest, "bad_request", errRequestBody.Error())
		return
	}
	req.Scope = queryTenant(r.URL.RawQuery)
	x := &exchange{req: req}
	defer func() {
		if x.body != nil {
			x.body.Close() // ReverseProxy does not on every way out
		}
		attrs := []any{"method", r.Method, "status", x.status, "tries", x.tries, "took", time.Since(start)}
		if x.choice != nil {
			attrs = append(attrs, "", x.choice.Decision) // its attributes, in this line
		}
		g.log.Debug("request", attrs...)
	}()
	w.Header()["Content-Type"] = nil // or the server makes one up if the upstream sends none
	g.proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x)))
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

// Why a request got no answer from an upstream; what the client is told.
var (
	errNoUpstream  = errors.New("all upstreams are out for now: try again later")
	errUpstream    = errors.New("the upstream could not be reached, or closed the connection without an answer")
	errRequestBody = errors.New("the request's body could not be read")
)

// RoundTrip implements http.RoundTripper: it sends a request to the upstream of
// its session, and to others if that one fails, as long as nothing of an answer
// was seen and the request can be sent again.
func (g *gateway) RoundTrip(out *http.Request) (resp *http.Response, err error) {
	ctx := out.Context()
	x := ctx.Value(exchangeKey{}).(*exchange)
	var tried []*upstream
	for {
		// An upstream that failed is not among the candidates, so the session
		// fails over.
		choice, none := g.choose(ctx, x, tried)
		if none != nil {
			if len(tried) == 0 {
				err = none
			}
			return resp, err // the last answer is better than none
		}
		if resp != nil {
			discard(resp.Body)
		}
		var again bool
		resp, again, err = g.try(out, x, choice)
		if !again || ctx.Err() != nil {
			return resp, err
		}
		tried = append(tried, choice.Target)
	}
}

// choose selects an upstream among those that take requests, but for those that
// were tried already.
func (g *gateway) choose(ctx context.Context, x *exchange, tried []*upstream) (*selection, error) {
	candidates := g.candidates(tried)
	if len(candidates) == 0 {
		return nil, errNoUpstream
	}
	choice, err := g.sel.Select(ctx, x.req, candidates)
	if err != nil {
		return nil, err
	}
	x.choice = &choice
	x.tries++
	g.counters.selected(&choice)
	return &choice, nil
}

// candidates are the upstreams that take requests. If all are out, one that did
// not say itself for how long is asked all the same: it may be back, and the
// request is lost otherwise.
func (g *gateway) candidates(tried []*upstream) []*upstream {
	now := time.Now()
	list := make([]*upstream, 0, len(g.upstreams))
	var last *upstream
	var soonest time.Time
	for _, u := range g.upstreams {
		if slices.Contains(tried, u) {
			continue
		}
		ok, back := u.available(now)
		if back {
			g.log.Info("upstream back", "target", u.name)
		}
		if ok {
			list = append(list, u)
			continue
		}
		if until, asked := u.outUntil(now); !asked && (last == nil || until.Before(soonest)) {
			last, soonest = u, until
		}
	}
	if len(list) == 0 && last != nil {
		list = append(list, last)
	}
	return list
}

// try sends the request to the upstream that was chosen. It reports the outcome
// to the selector: that of a failure at once, any other when the response has
// ended. The second result is whether another upstream may be tried.
func (g *gateway) try(out *http.Request, x *exchange, choice *selection) (*http.Response, bool, error) {
	ctx := out.Context()
	req, body := choice.Target.request(out)
	if keepsState(out.URL.Path, out.Header) {
		acceptReadable(req.Header)
	}
	resp, err := g.transport.RoundTrip(req)
	switch {
	case err != nil && ctx.Err() != nil: // the client left
		choice.Done(affinity.Outcome{})
		return nil, false, ctx.Err()
	case err != nil && body.broken():
		choice.Done(affinity.Outcome{})
		return nil, false, errRequestBody
	case err != nil:
		g.failed(choice, affinity.OutcomeOf(0, err), 0, cause(err))
		return nil, body.untouched(), errUpstream
	}
	label(resp.Header, choice)
	x.status = resp.StatusCode
	if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500 {
		g.failed(choice, affinity.OutcomeOf(resp.StatusCode, nil), pause(resp, time.Now()),
			"status "+strconv.Itoa(resp.StatusCode))
		return resp, body == nil, nil
	}
	g.follow(ctx, out.URL.Path, resp, choice)
	x.body = resp.Body
	return resp, false, nil
}

// label writes what was decided into the headers of a response.
func label(h http.Header, choice *selection) {
	h.Set(targetHeader, choice.ID)
	h.Set(reasonHeader, choice.Reason.String())
	h.Del(sessionHeader)
	if s := choice.Session.String(); s != "" {
		h.Set(sessionHeader, s)
	}
}

// follow watches the body of a response: how it ends is the outcome, with what it
// says that it cost, and the state that it names is at this upstream.
func (g *gateway) follow(ctx context.Context, path string, resp *http.Response, choice *selection) {
	body := &followed{ReadCloser: resp.Body}
	outcome := affinity.OutcomeOf(resp.StatusCode, nil)
	var cost usageReader
	body.end = func(err error) {
		outcome.Usage = cost.usage()
		switch {
		case ctx.Err() != nil: // the client left: that says nothing
			choice.Done(affinity.Outcome{Usage: outcome.Usage})
		case err != nil:
			g.failed(choice, affinity.Outcome{Result: affinity.TransientFailure}, 0, "broke off")
		case cost.failed:
			g.failed(choice, affinity.Outcome{Result: affinity.TransientFailure, Usage: outcome.Usage}, 0, "error in a stream")
		default:
			choice.Done(outcome)
		}
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		if w, ok := resp.Body.(io.Writer); ok {
			resp.Body = upgraded{body, w}
		}
		return
	}
	if outcome.Result == affinity.Served {
		var readers io.Writer = &cost
		if keepsState(path, resp.Request.Header) {
			readers = io.MultiWriter(&cost, extract.NewStateReader(choice.Learn))
		}
		body.text = reader(resp.Header.Get("Content-Encoding"), readers)
	}
	resp.Body = body
}

// keepsState reports whether the API at path keeps state that later requests
// can refer to. Others, which name every answer too, would fill the table.
func keepsState(path string, h http.Header) bool {
	for _, word := range []string{"/responses", "/conversations", "/interactions", "/cachedContents", "/files", "/containers"} {
		if strings.Contains(path, word) {
			return true
		}
	}
	return strings.Contains(h.Get("Anthropic-Beta"), "message-threads")
}

// failed reports a failure and leaves the upstream out: for as long as it asked
// for, or for the cooldown if that is 0.
func (g *gateway) failed(choice *selection, o affinity.Outcome, asked time.Duration, why string) {
	choice.Done(o)
	g.counters.failed(choice)
	d := asked
	if d == 0 {
		d = g.cooldown
	}
	level := slog.LevelDebug
	if choice.Target.takeOut(time.Now(), d, asked > 0) {
		level = slog.LevelWarn // the first of what may be many
	}
	g.log.Log(context.Background(), level, "upstream out", "target", choice.ID, "for", d.Round(time.Millisecond), "why", why)
}

// cause says why an upstream gave no answer. It does not quote errors about
// what was received, since they quote that.
func cause(err error) string {
	var network net.Error
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &network), errors.As(err, &certificate):
		return err.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed without an answer"
	}
	return fmt.Sprintf("no valid answer (%T)", err)
}

// fail answers a request that no upstream has answered.
func (g *gateway) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // nobody is listening
	}
	status, kind, message := http.StatusBadGateway, "upstream_failed", errUpstream
	switch {
	case errors.Is(err, errNoUpstream):
		status, kind, message = http.StatusServiceUnavailable, "no_upstream_available", errNoUpstream
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(max(g.wait().Seconds(), 1)))))
	case errors.Is(err, errRequestBody):
		status, kind, message = http.StatusBadRequest, "bad_request", errRequestBody
	}
	if x, ok := r.Context().Value(exchangeKey{}).(*exchange); ok {
		x.status = status
	}
	reply(w, status, kind, message.Error())
}

// wait returns how long it takes until an upstream is back.
func (g *gateway) wait() time.Duration {
	now := time.Now()
	soonest := time.Duration(math.MaxInt64)
	for _, u := range g.upstreams {
		until, _ := u.outUntil(now)
		soonest = min(soonest, until.Sub(now))
	}
	return soonest
}

func reply(w http.ResponseWriter, status int, kind, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"error": map[string]string{"type": kind, "message": message}})
}
