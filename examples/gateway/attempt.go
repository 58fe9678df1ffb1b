package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"time"

	"github.com/go-affinity/affinity"
)

// try sends the request to the upstream that was chosen. It reports the outcome
// to the selector: that of a failure at once, any other when the response has
// ended. The second result is whether another upstream may be tried.
func (g *gateway) try(out *http.Request, x *exchange) (*http.Response, bool, error) {
	ctx := out.Context()
	u := x.choice.Target
	w := g.watch(ctx, x)
	defer w.end()
	resp, err := g.ask(out, x, w)
	body := x.upload
	switch {
	case err == nil:
	case ctx.Err() != nil: // the client left
		g.neutral(x, affinity.Usage{})
		return nil, false, ctx.Err()
	case body.broken():
		g.neutral(x, affinity.Usage{})
		return nil, false, errRequestBody
	default:
		if !x.reached {
			u.mute.Store(g.age(time.Now()))
		}
		g.failed(x, affinity.OutcomeOf(0, err), trouble{why: cause(err), mine: x.reached && x.hungUp()})
		return nil, body.untouched(), errUpstream
	}
	if body != nil && len(out.Header["Expect"]) > 0 && body.untouched() && resp.StatusCode != http.StatusSwitchingProtocols {
		// From now on nothing is read from the client, so nothing tells that it has left.
		resp.Body = coming{resp.Body, func() { w.giveUp(errStalled) }}
	}
	if u.key != "" {
		withhold(resp.Header, out, u.key)
		if invalidKey(resp) {
			resp.StatusCode = http.StatusUnauthorized // as all others have it
		}
	}
	label(resp.Header, x.choice)
	if u.key == "" && denies(resp.StatusCode) {
		// Is it the client's credential that is no good, or this upstream? One
		// other is asked, if it is there now, and if it serves, it was the upstream.
		again := x.deniedAt == nil && body == nil && len(x.upstreams) > 1
		x.deniedAt, x.patience = u, 0
		g.neutral(x, affinity.Usage{})
		return resp, again, nil
	}
	if t, ok := x.refused(resp); ok {
		g.failed(x, affinity.OutcomeOf(resp.StatusCode, nil), t)
		if denies(resp.StatusCode) { // the client's credential would look bad, and some answers quote the key
			resp.Body.Close()
			return nil, body.untouched(), errDenied
		}
		return resp, body.untouched(), nil
	}
	if x.misses(resp) {
		g.served(x, w.start, time.Now(), unknown)
		g.done(x, affinity.Outcome{Result: affinity.TerminalFailure}, false) // it is no place for this conversation
		return nil, false, errStateAway
	}
	return g.accept(out, resp, x, w.start)
}

// accept waits until an answer has really begun that by its status is the one for the client,
// and takes note of how soon that was. Its results are those of try.
func (g *gateway) accept(out *http.Request, resp *http.Response, x *exchange, start time.Time) (*http.Response, bool, error) {
	ctx, u, inMemory := out.Context(), x.choice.Target, x.upload == nil
	f := g.follow(ctx, resp, x)
	resp, x.body = &f.answer, f
	if resp.StatusCode/100 != 2 {
		g.served(x, start, time.Now(), unknown)
		return resp, false, nil
	}
	if resp.ContentLength != 0 || f.events && resp.StatusCode == http.StatusOK {
		if err := g.await(ctx, f, x.holdable(resp)); err != nil {
			return nil, inMemory && ctx.Err() == nil, err
		}
		if f.failed() { // nobody has seen it yet
			f.finish(nil)
			return resp, inMemory, nil
		}
	}
	kind := whole
	if f.events {
		kind = streamed
	}
	now, how := time.Now(), unknown
	took := now.Sub(start)
	if inMemory && out.Method == http.MethodPost { // else that is the client's doing, or nothing to go by
		var slow bool
		if how, slow = g.begun(x, u, kind, took); slow && u.health.slows(now) {
			g.log.Warn("upstream slow", "target", u.name, "kind", [2]string{"streams", "answers"}[kind], "took", took.Round(time.Millisecond))
		}
	}
	if g.served(x, start, now, how) {
		u.paces[kind].set(took, paceFirm)
		u.paces[1-kind].set(0, 0) // that is of when it was slow
	}
	return resp, false, nil
}

// ask sends the request and returns what the upstream answers.
func (g *gateway) ask(out *http.Request, x *exchange, w *watchdog) (*http.Response, error) {
	reused, asked := false, 0
	x.reached = false
	once, turnAway := context.WithCancelCause(w.ctx)
	trace := httptrace.ClientTrace{
		GetConn: func(string) { x.reached = false }, // package http may ask for a second one
		GotConn: func(c httptrace.GotConnInfo) {
			x.reached, reused = true, c.Reused
			if t, ok := c.Conn.(*tls.Conn); ok && t.ConnectionState().NegotiatedProtocol == "h2" {
				if asked++; asked > 1 {
					turnAway(errTurnedAway)
				}
			}
		},
	}
	var stall *time.Timer
	if x.choice.Target.url.Scheme == "https" && !x.large { // else it is HTTP/1.1
		stall = time.AfterFunc(stalled, func() { w.giveUp(errStalled) })
		defer stall.Stop() // who answers may leave the rest
		trace.WroteRequest = func(httptrace.WroteRequestInfo) { stall.Stop() }
	}
	traced := func(ctx context.Context) context.Context {
		t := trace // WithClientTrace changes it, while a connection that nobody waits for any more may look at it
		return httptrace.WithClientTrace(ctx, &t)
	}
	req, body := x.choice.Target.request(traced(once), out, stall)
	x.upload = body
	send := g.send
	if body != nil || len(out.Header["Upgrade"]) > 0 || longHeader(req) {
		// The one cannot be sent again if the connection turns out to be closed, the other
		// cannot be sent over HTTP/2, which package http knows of WebSockets alone; and over
		// HTTP/2 some break off the connection for the last, with all that others have on it.
		send = g.fresh
	}
	resp, err := send.RoundTrip(req)
	if err != nil && (reused || err == errTurnedAway || context.Cause(once) == errTurnedAway) && w.ctx.Err() == nil && !timedOut(err) {
		// The upstream may have closed a kept-alive connection just as it was used
		// again. Then it is well, and its sessions must not move for that. Once, and
		// on a new connection: it may be the request that makes it hang up.
		req, _ = x.choice.Target.request(traced(w.ctx), out, stall)
		resp, err = g.fresh.RoundTrip(req)
	}
	if gaveUp := context.Cause(w.ctx); err != nil && gaveUp != nil {
		err, x.reached = gaveUp, false // over HTTP/2, it does not say so itself
	}
	if err == nil && resp.StatusCode == http.StatusNotModified {
		resp.Body.Close() // over HTTP/2, package http misses what its Content-Length says is elsewhere
		resp.Body = http.NoBody
	}
	if err == nil && !valid(resp, out) {
		resp.Body.Close()
		return nil, errStatus
	}
	return resp, err
}

// timedOut reports whether a request got no answer within the time for that.
func timedOut(err error) bool {
	var network net.Error
	return errors.As(err, &network) && network.Timeout()
}

// longHeader reports whether a header is longer than some upstreams take one. Clients send
// a few kB.
func longHeader(r *http.Request) bool {
	n := len(r.URL.Path) + len(r.URL.RawQuery)
	for name, values := range r.Header {
		for _, v := range values {
			n += len(name) + len(v)
		}
	}
	return n > 8<<10
}

// errTurnedAway ends what package http does where a request is refused over HTTP/2 before it is
// looked at: it would ask again, up to seven times and for a minute. Over HTTP/2, what is
// cancelled as it gets its connection is not sent. It also ends what package http does where a
// request that has an Idempotency-Key, and a body, is hung up on: it would send it by every
// connection there is, as it does a GET.
var errTurnedAway = errors.New("turns requests away")

// errStatus is for answers that are not valid.
var errStatus = errors.New("its answer has an invalid status")

// valid reports whether an answer can be passed on. Package http reads those like
// "HTTP/1.1 099 X", but panics where they are to be written; and one that says that it
// switches protocols must do so, to one that was asked for.
func valid(resp *http.Response, out *http.Request) bool {
	_, switched := resp.Body.(oneWay)
	return resp.StatusCode >= 100 && resp.StatusCode <= 999 && (resp.StatusCode != http.StatusSwitchingProtocols ||
		switched && lists(out.Header.Get("Upgrade"), resp.Header.Get("Upgrade")))
}

// done reports the outcome of the last attempt; failed says that it is held against the
// upstream.
func (g *gateway) done(x *exchange, o affinity.Outcome, failed bool) {
	x.choice.Done(o)
	g.counters.done(x.choice.ID, o.Usage, failed)
}

// neutral reports an attempt that says nothing about its upstream.
func (g *gateway) neutral(x *exchange, u affinity.Usage) {
	x.release()
	g.done(x, affinity.Outcome{Usage: u}, false)
}

// served tells that an upstream has begun to answer. It reports whether it was
// slow and is no longer.
func (g *gateway) served(x *exchange, start, now time.Time, how speed) (noLongerSlow bool) {
	u := x.choice.Target
	u.heard.Store(g.age(now))
	if d := x.deniedAt; d != nil && d != u && d.health.limited(now, g.cooldown, x.limitAt(d)) {
		g.log.Warn("upstream out", "target", d.name, "for", g.cooldown, "why", "denies a credential that others accept", "limits", "one")
	}
	back, noLongerSlow := u.health.served(start, now, x.slot, how)
	x.slot = false
	if back {
		x.comeBack(u, now)
	}
	if back || noLongerSlow {
		g.log.Info("upstream back", "target", u.name)
	}
	return noLongerSlow
}
