package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"time"

	"github.com/go-affinity/affinity"
)

// try sends the request to the upstream that was chosen. It reports the outcome
// to the selector: that of a failure at once, any other when the response has
// ended. The second result is whether another upstream may be tried.
func (g *gateway) try(out *http.Request, x *exchange) (*http.Response, bool, error) {
	ctx := out.Context()
	u := x.choice.Target
	w := g.watch(ctx, x, !buffered(out))
	defer w.end()
	start := w.start
	resp, err := g.ask(out, x, w)
	body := x.upload
	switch {
	case err != nil && ctx.Err() != nil: // the client left
		g.neutral(x, affinity.Usage{})
		return nil, false, ctx.Err()
	case err != nil && body.broken():
		g.neutral(x, affinity.Usage{})
		return nil, false, errRequestBody
	case err != nil:
		g.failed(x, affinity.OutcomeOf(0, err), trouble{pause: g.cooldown, why: cause(err), mine: reached(err) && x.hungUp()})
		return nil, body.untouched(), errUpstream
	}
	if u.key != "" {
		withhold(resp.Header, out, u.key)
	}
	label(resp.Header, x.choice)
	if u.key == "" && denies(resp.StatusCode) {
		// Is it the client's credential that is no good, or this upstream? One
		// other is asked, and if it serves, it was the upstream.
		again := x.denied == nil && body == nil && len(x.upstreams) > 1
		x.denied = u
		g.neutral(x, affinity.Usage{})
		return resp, again, nil
	}
	if t, ok := g.refused(resp, x); ok {
		g.failed(x, affinity.OutcomeOf(resp.StatusCode, nil), t)
		if denies(resp.StatusCode) { // the client's credential would look bad, and some answers quote the key
			resp.Body.Close()
			return nil, body.untouched(), errDenied
		}
		return resp, body.untouched(), nil
	}
	if x.misses(resp) {
		g.served(x, start, time.Now(), unknown)
		g.done(x, affinity.Outcome{Result: affinity.TerminalFailure}) // it is no place for this conversation
		return nil, false, errStateAway
	}
	f := g.follow(ctx, resp, x)
	x.body = resp.Body
	if resp.StatusCode/100 != 2 {
		g.served(x, start, time.Now(), unknown)
		return resp, false, nil
	}
	kind := whole
	if f != nil && f.events {
		kind = streamed
	}
	if f != nil && g.hold > 0 && (resp.ContentLength != 0 || f.events && resp.StatusCode == http.StatusOK) {
		if err := g.await(ctx, f, x.holdable(resp, f)); err != nil {
			return nil, body == nil && ctx.Err() == nil, err
		}
		if f.failed() { // nobody has seen it yet
			f.finish(nil)
			return resp, body == nil, nil
		}
	}
	now := time.Now()
	if body != nil || out.Method != http.MethodPost { // how long that took is the client's doing, or nothing to go by
		g.served(x, start, now, unknown)
		return resp, false, nil
	}
	how, slow := g.begun(x, u, kind, now.Sub(start))
	if slow && u.health.slows(now) {
		g.log.Warn("upstream slow", "target", u.name, "kind", [2]string{"streams", "answers"}[kind], "took", now.Sub(start).Round(time.Millisecond))
	}
	if g.served(x, start, now, how) {
		u.paces[kind].set(now.Sub(start))
		u.paces[1-kind].forget() // that is of when it was slow
	}
	return resp, false, nil
}

// ask sends the request and returns what the upstream answers.
func (g *gateway) ask(out *http.Request, x *exchange, w *watchdog) (*http.Response, error) {
	reused := false
	stall := time.AfterFunc(stalled, func() { w.giveUp(errStalled) })
	ctx := httptrace.WithClientTrace(w.ctx, &httptrace.ClientTrace{
		GotConn:      func(c httptrace.GotConnInfo) { reused = c.Reused },
		WroteRequest: func(httptrace.WroteRequestInfo) { stall.Stop() },
	})
	req, body := x.choice.Target.request(ctx, out, stall)
	x.upload = body
	send := g.send
	if body != nil || len(out.Header["Upgrade"]) > 0 {
		// The one cannot be sent again if the connection turns out to be closed, the other
		// cannot be sent over HTTP/2, which package http knows of WebSockets alone.
		send = g.fresh
	}
	resp, err := send.RoundTrip(req)
	if err != nil && (reused || errors.Is(err, errTurnedAway)) && ctx.Err() == nil && !timedOut(err) {
		// The upstream may have closed a kept-alive connection just as it was used
		// again. Then it is well, and its sessions must not move for that. Once, and
		// on a new connection: it may be the request that makes it hang up.
		req, _ = x.choice.Target.request(ctx, out, stall)
		resp, err = g.fresh.RoundTrip(req)
	}
	stall.Stop() // who answers may leave the rest
	if gaveUp := context.Cause(ctx); err != nil && gaveUp != nil {
		err = gaveUp // over HTTP/2, it does not say so itself
	}
	if err == nil && (resp.StatusCode < 100 || resp.StatusCode > 999) {
		resp.Body.Close()
		return nil, errStatus
	}
	return resp, err
}

// errStatus is for answers like "HTTP/1.1 099 X": package http reads them, but panics where
// they are to be written.
var errStatus = errors.New("its answer has a status that is none")

// A trouble is what is wrong with an upstream.
type trouble struct {
	why    string
	pause  time.Duration // how long to leave it out
	asked  bool          // it wants it so
	limit  uint64        // it concerns only what counts against that, if not 0
	mine   bool          // it concerns nothing but this request
	denied bool          // the upstream does not take its own credential
}

// refused reports whether the response is one that another upstream could do
// better, and what is wrong with this one.
func (g *gateway) refused(resp *http.Response, x *exchange) (t trouble, ok bool) {
	u := x.choice.Target
	t.why = "status " + strconv.Itoa(resp.StatusCode)
	switch code := resp.StatusCode; {
	case code == http.StatusTooManyRequests:
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly:
		// All of the request is here, so it is not the client that was late or early, but
		// neither does it tell that the upstream is unwell.
		t.mine, x.blamed = true, true
	case code == http.StatusInternalServerError, code == http.StatusNotImplemented, code == http.StatusGatewayTimeout:
		// If the one before has failed like that, it may well be the request.
		t.mine = x.blamed
		x.blamed = true
	case code >= 500: // such as 502, 503 and 529: it says of itself that it is unavailable
	case denies(code):
		// Perhaps it may not do just this: 403 says so, and so does it if another one does
		// not let it in either.
		t.mine = code == http.StatusForbidden || x.forbidden
		t.denied, x.forbidden = true, true
	default:
		return t, false
	}
	if t.pause = pause(resp, time.Now()); t.pause > 0 {
		t.asked, t.mine = true, false
	} else {
		t.pause = g.cooldown
	}
	if resp.StatusCode == http.StatusTooManyRequests && (t.asked || x.pays(u)) {
		t.limit = x.limitAt(u) // one that does not say for how long may be a quota of all that there is
	}
	return t, true
}

// hungUp tells that an upstream has broken off. If the one before has done so, it may
// well be the request that makes them crash.
func (x *exchange) hungUp() (again bool) {
	again, x.crashes = x.crashes, true
	return again
}

// reached reports whether the upstream, which gave no answer, had the request.
func reached(err error) bool {
	var network *net.OpError
	var certificate *tls.CertificateVerificationError
	return !errors.Is(err, errSilent) && !errors.As(err, &certificate) && !(errors.As(err, &network) && network.Op == "dial")
}

// buffered reports whether the body of a request, if it has one, is in memory.
func buffered(out *http.Request) bool {
	return out.Body == nil || out.Body == http.NoBody || out.GetBody != nil
}

// denies reports whether a status says that a credential is of no use.
func denies(code int) bool {
	return code == http.StatusUnauthorized || code == http.StatusPaymentRequired || code == http.StatusForbidden
}

// timedOut reports whether a request got no answer within the time for that.
func timedOut(err error) bool {
	var network net.Error
	return errors.As(err, &network) && network.Timeout()
}

// done reports the outcome of the last attempt.
func (g *gateway) done(x *exchange, o affinity.Outcome) {
	x.choice.Done(o)
	g.counters.done(x.choice.ID, o.Usage, false)
}

// neutral reports an attempt that says nothing about its upstream.
func (g *gateway) neutral(x *exchange, u affinity.Usage) {
	if x.slot {
		x.slot = false
		x.choice.Target.health.release()
	}
	g.done(x, affinity.Outcome{Usage: u})
}

// served tells that an upstream has begun to answer. It reports whether it was
// slow and is no longer.
func (g *gateway) served(x *exchange, start, now time.Time, how speed) (noLongerSlow bool) {
	u := x.choice.Target
	u.heard.Store(now.UnixNano())
	if d := x.denied; d != nil && d != u && d.health.limited(now, g.cooldown, x.limitAt(d), false) {
		g.log.Warn("upstream out", "target", d.name, "for", g.cooldown, "why", "denies a credential that others take", "limits", "one")
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

// failed reports a failure and leaves the upstream out for a while.
func (g *gateway) failed(x *exchange, o affinity.Outcome, t trouble) {
	u := x.choice.Target
	x.choice.Done(o)
	if s, ok := g.fallback.(*spread); ok && placed(x.choice.Reason) {
		s.failed(u)
	}
	g.counters.done(x.choice.ID, o.Usage, true)
	slot := x.slot
	x.slot = false
	now, out := time.Now(), t.pause
	var news bool
	switch {
	case t.mine:
		if slot {
			u.health.release()
		}
		level := slog.LevelDebug
		if t.denied {
			level = slog.LevelWarn // the client cannot tell why
		}
		g.log.Log(context.Background(), level, "request failed", "target", u.name, "why", t.why)
		return
	case t.limit != 0:
		news = u.health.limited(now, t.pause, t.limit, slot)
	default:
		news = u.health.failed(now, t.pause, t.asked, slot)
		_, until := u.health.state(now)
		out = until.Sub(now)
	}
	level := slog.LevelDebug
	if news {
		level = slog.LevelWarn // the first of what may be many
	}
	g.log.Log(context.Background(), level, "upstream out", "target", u.name, "for", out.Round(time.Millisecond),
		"why", t.why, "limits", map[bool]string{true: "one", false: "all"}[t.limit != 0])
}

// placed reports whether the balancer was asked for the upstream.
func placed(r affinity.Reason) bool {
	switch r {
	case affinity.ReasonNoSession, affinity.ReasonNew, affinity.ReasonFailover, affinity.ReasonExpired, affinity.ReasonOverload, affinity.ReasonSideCall:
		return true
	}
	return false
}

// cause says why an upstream gave no answer. It does not quote errors about
// what was received, since they quote that.
func cause(err error) string {
	var network net.Error
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, errSilent), errors.Is(err, errStalled), errors.Is(err, errStatus), errors.Is(err, errTurnedAway):
		return err.Error()
	case errors.As(err, &network), errors.As(err, &certificate):
		return err.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed without an answer"
	}
	return fmt.Sprintf("no valid answer (%T)", err)
}
