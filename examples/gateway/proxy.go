package main

import (
	"context"
	"io"
	stdlog "log"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/extract"
)

// gateway is the handler of client requests.
type gateway struct {
	options
	start     time.Time
	log       *slog.Logger
	extractor extract.Extractor
	fallback  affinity.Picker[*upstream]
	setup     atomic.Pointer[setup]
	reloading sync.Mutex
	counters  counters
	transport *http.Transport
	send      http.RoundTripper // the transport, but for tests
	fresh     http.RoundTripper // for what needs a connection of its own
	proxy     *httputil.ReverseProxy
	busy      sync.WaitGroup // requests under way
}

// selection is what the selector answers.
type selection = affinity.Selection[*upstream]

// newGateway returns a gateway. A fallback of nil means the least cost, or as
// the options say.
func newGateway(o options, extractor extract.Extractor, log *slog.Logger, fallback affinity.Picker[*upstream]) (*gateway, error) {
	g := &gateway{
		options: o, start: time.Now(), log: log, extractor: extractor, fallback: fallback,
		counters: counters{reasons: map[affinity.Reason]int64{}, at: map[string]*tally{}},
	}
	if fallback == nil {
		g.fallback = newBalancer(o.prefix)
	}
	cache, err := affinity.NewCache(affinity.CacheConfig{TTL: o.ttl, Capacity: o.capacity})
	if err != nil {
		return nil, err
	}
	if err := g.use(o.upstreams, cache); err != nil {
		return nil, err
	}
	g.transport, g.fresh = newTransports()
	g.send = g.transport
	g.proxy = &httputil.ReverseProxy{
		Rewrite:        rewrite,
		Transport:      g,
		ModifyResponse: answered,
		FlushInterval:  100 * time.Millisecond, // what is of known length; all else at once
		BufferPool:     &buffers,
		ErrorHandler:   g.fail,
		ErrorLog:       stdlog.New(io.Discard, "", 0), // it quotes what an upstream sends, and what broke off is told elsewhere
	}
	return g, nil
}

// age returns how old the gateway is at t, in nanoseconds; it is never 0. Unlike what the wall
// clock says, that never goes back.
func (g *gateway) age(t time.Time) int64 { return int64(t.Sub(g.start)) + 1 }

func nameOf(u *upstream) string { return u.name }

func (g *gateway) close() {
	g.setup.Load().sel.Close()
	g.transport.CloseIdleConnections()
}

// exchange is one request of a client on its way through the gateway.
type exchange struct {
	*setup
	req      *extract.Request
	limits   [2]uint64 // see limitAt; 0 until they are needed
	patience time.Duration
	header   http.Header // of the response to the client
	large    bool        // the request's body is not in memory

	// Of the last attempt.
	choice  *selection // nil before the first
	slot    bool       // the upstream takes few requests, and this is one
	upload  *upload    // the body as it sends it, if that is large
	reached bool       // there was a connection for it, and it was not given up
	body    io.Closer  // of the response, if its end is awaited
	status  int        // of the answer that the client gets; 0 before

	// Of all attempts.
	attempts int         // how many
	tried    []*upstream // those that it is no use to try again for now
	denied   []*upstream // those among them that do not take their own credential for it
	rounds   int         // how often all had been tried
	blamed   bool        // one has told of a failure that may be the request's own fault
	crashes  bool        // one has broken off, which may be the request's own fault
	deniedAt *upstream   // did not take the client's credential, which others may
}

// release gives the slot of the last attempt back, if it still has one.
func (x *exchange) release() {
	if x.slot {
		x.slot = false
		x.choice.Target.health.release()
	}
}

// exchangeKey leads to the *exchange in the context of a request.
type exchangeKey struct{}

// ServeHTTP implements http.Handler.
func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodTrace || r.Method == http.MethodConnect || r.Method == "PRI" {
		// Whoever answers the first shows all that was sent, the upstream's key as well; the
		// second asks for a tunnel to somewhere else; the third is how HTTP/2 begins, which is
		// not spoken here.
		reply(w, http.StatusMethodNotAllowed, "method_not_allowed", r.Method+" is not passed on")
		return
	}
	if r.URL.Opaque != "" { // it would be sent as it is, past the upstream's path, and by a proxy to whatever host it names
		reply(w, http.StatusBadRequest, "bad_request", "the request's target must be a path, such as /v1/messages")
		return
	}
	if climbs(r.URL.Path) {
		reply(w, http.StatusBadRequest, "bad_request", "the path must not have .. in it")
		return
	}
	g.busy.Add(1)
	defer g.busy.Done()
	start := time.Now()
	x := &exchange{setup: g.setup.Load(), patience: g.patience, header: w.Header()}
	// A copy, since FromHTTP changes the body: the server has to know its own again, or it
	// does not see that some was not read, and resets the connection before the answer is.
	r = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x))
	var err error
	if x.req, err = extract.FromHTTP(r, g.bodyLimit); err != nil {
		reply(w, http.StatusBadRequest, "bad_request", errRequestBody.Error())
		return
	}
	if x.large = r.Body != nil && r.Body != http.NoBody && r.GetBody == nil; x.large {
		// What is still to be read of the body is the upstream's, even when its answer has
		// begun: the server would read it away then. So would ReverseProxy, which closes the body
		// at the end (Go 1.27), and before it has said that the answer ends.
		http.NewResponseController(w).EnableFullDuplex()
		before := &interim{ResponseWriter: w, body: r.Body}
		w, r.Body = before, io.NopCloser(before)
	}
	x.req.Scope = queryTenant(r.URL.RawQuery)
	defer func() {
		if x.body != nil {
			x.body.Close() // ReverseProxy does not on every way out
		}
		if !g.log.Enabled(r.Context(), slog.LevelDebug) {
			return
		}
		var last slog.Attr // the last decision: no id, key or prompt is in it
		if x.choice != nil {
			last = slog.Any("", x.choice.Decision)
		}
		g.log.LogAttrs(r.Context(), slog.LevelDebug, "request", slog.String("method", r.Method), slog.Int("status", x.status),
			slog.Duration("took", time.Since(start)), slog.Int("attempts", x.attempts), last)
	}()
	g.proxy.ServeHTTP(w, r)
}

// climbs reports whether a path leads out of where it begins, as servers read it: below the
// path of an upstream there may be less than its key opens.
func climbs(path string) bool {
	for part := range strings.FieldsFuncSeq(path, func(r rune) bool { return r == '/' || r == '\\' }) {
		if name, _, _ := strings.Cut(part, ";"); name == ".." { // what follows is a parameter to Tomcat
			return true
		}
	}
	return false
}

// answered notes what the client gets, and keeps the server from making up a Content-Type
// if the upstream sends none.
func answered(resp *http.Response) error {
	x := resp.Request.Context().Value(exchangeKey{}).(*exchange)
	x.status = resp.StatusCode
	x.header["Content-Type"] = nil // not before: answers like 103 take all away
	x.announceEnd()
	return nil
}

// announceEnd has the client's connection end with the answer if that begins before the
// request has been read. With full duplex, the server does not see to that itself: it breaks
// off without a word, or takes what is left of the body for the next request.
func (x *exchange) announceEnd() {
	if x.large && (x.upload == nil || !x.upload.ended.Load()) {
		x.header["Connection"] = []string{"close"}
	}
}

// rewrite undoes what ReverseProxy takes away from a request before it asks, and takes away
// what is between us and the client alone: some clients (Java's) offer to change to HTTP/2.
func rewrite(p *httputil.ProxyRequest) {
	if lists(p.Out.Header.Get("Upgrade"), "h2c") {
		delete(p.Out.Header, "Upgrade")
		delete(p.Out.Header, "Connection")
	}
	p.Out.Trailer = nil // no API has any, and of the names that clients announce package http refuses to send some
	p.Out.URL.RawQuery = p.In.URL.RawQuery
	hop := strings.Join(p.In.Header["Connection"], ",") // names what is for us alone
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if !lists(hop, name) {
			p.Out.Header[name] = p.In.Header[name]
		}
	}
}

// lists reports whether a list with commas has that word, in whatever case.
func lists(list, word string) bool {
	for item := range strings.SplitSeq(list, ",") {
		if strings.EqualFold(strings.TrimSpace(item), word) {
			return true
		}
	}
	return false
}
