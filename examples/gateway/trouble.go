package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/extract"
)

// A trouble is what is wrong with an upstream.
type trouble struct {
	why   string
	pause time.Duration // how long it wants to be left out, if it says so
	limit uint64        // it concerns only what counts against that, if not 0
	mine  bool          // it concerns nothing but this request
}

// refused reports whether the response is one that another upstream could do
// better, and what is wrong with this one. It notes who denies its own credential, and what may
// be the request's own fault, which the next one to say so is not blamed for.
func (x *exchange) refused(resp *http.Response) (t trouble, ok bool) {
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
		t.mine = x.blamed || x.upload.waits() // or its client, who sends it too slowly
		x.blamed = true
	case code >= 500: // such as 502, 503 and 529: it says of itself that it is unavailable
	case denies(code):
		// Perhaps it may not do just this: 403 says so, and so does it if another one does
		// not let it in either.
		t.mine = code == http.StatusForbidden || len(x.denied) > 0
		x.denied = append(x.denied, u)
	default:
		return t, false
	}
	if t.pause = pause(resp, time.Now()); t.pause > 0 {
		t.mine = false
	}
	if resp.StatusCode == http.StatusTooManyRequests && (t.pause > 0 || x.pays(u)) {
		t.limit = x.limitAt(u) // one that does not say for how long may be a quota of all that there is
	}
	return t, true
}

// denies reports whether a status says that a credential is of no use.
func denies(code int) bool {
	return code == http.StatusUnauthorized || code == http.StatusPaymentRequired || code == http.StatusForbidden
}

// invalidKey reports whether an answer of 400 is Gemini's to a key that is no good.
func invalidKey(resp *http.Response) bool {
	if resp.StatusCode != http.StatusBadRequest {
		return false
	}
	said, _ := glance(resp)
	return bytes.Contains(said, []byte(`"API_KEY_INVALID"`)) // in what it quotes, it escapes the quotes
}

// told returns what is wrong with an upstream whose response tells of an error of that kind,
// and what that means for the session.
func (x *exchange) told(kind string) (trouble, affinity.Result) {
	t, result := trouble{why: "error in the response"}, severity(kind)
	if result == affinity.TransientFailure && !tooMuch(kind) && kind != "overloaded_error" {
		t.mine = x.blamed // see refused: this is like a status of 500, that like 529
		x.blamed = true
	}
	if u := x.choice.Target; x.pays(u) && (tooMuch(kind) || result == affinity.TerminalFailure) {
		t.limit = x.limitAt(u)
	}
	return t, result
}

// tooMuch reports whether the error says that too much was asked for.
func tooMuch(kind string) bool {
	switch strings.ToLower(kind) {
	case "rate_limit_error", "rate_limit_exceeded", "resource_exhausted", "tokens", "requests":
		return true
	}
	return false
}

// hungUp notes that an upstream has broken off, and reports whether that may well be the
// request's fault: the one before has broken off as well, or some of the request is yet to come,
// from a client that is too slow.
func (x *exchange) hungUp() (mine bool) {
	mine, x.crashes = x.crashes || x.upload.waits(), true
	return mine
}

// cause says why an upstream gave no answer. It does not quote errors about
// what was received, since they quote that.
func cause(err error) string {
	var network net.Error
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, errSilent), errors.Is(err, errStalled), errors.Is(err, errStatus),
		errors.As(err, &network), errors.As(err, &certificate):
		return err.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed without an answer"
	}
	return fmt.Sprintf("no valid answer (%T)", err)
}

// failed reports a failure and leaves the upstream out for a while.
func (g *gateway) failed(x *exchange, o affinity.Outcome, t trouble) {
	u, reason := x.choice.Target, x.choice.Reason
	if o.Result == affinity.TransientFailure && x.status == 0 && newHome(reason) && len(x.req.Pins()) == 0 {
		o.Result = affinity.TerminalFailure // the session has hardly been there, and is not to go there when u is back
	}
	g.done(x, o, true)
	if s, ok := g.fallback.(*spread); ok && placed(reason) {
		s.failed(u)
	}
	defer x.release()
	now, out := time.Now(), cmp.Or(t.pause, g.cooldown)
	var news bool
	switch {
	case t.mine:
		level := slog.LevelDebug
		if slices.Contains(x.denied, u) {
			level = slog.LevelWarn // the client cannot tell why
		}
		g.log.Log(context.Background(), level, "request failed", "target", u.name, "why", t.why)
		return
	case t.limit != 0:
		news = u.health.limited(now, out, t.limit)
	default:
		news = u.health.failed(now, out, t.pause > 0)
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

// newHome reports whether the upstream became the home of the session with this request.
func newHome(r affinity.Reason) bool {
	return r == affinity.ReasonNew || r == affinity.ReasonExpired || r == affinity.ReasonOverload
}

// placed reports whether the balancer was asked for the upstream.
func placed(r affinity.Reason) bool {
	switch r {
	case affinity.ReasonNoSession, affinity.ReasonNew, affinity.ReasonFailover, affinity.ReasonExpired, affinity.ReasonOverload, affinity.ReasonSideCall:
		return true
	}
	return false
}

var seed = maphash.MakeSeed()

// limitAt returns a number for the limit that the request counts against at u, as far as
// anybody can tell. Providers count each model by itself, and some of them what is done with it
// (Anthropic's counts of tokens). Where the client's credential is sent, they count each client.
func (x *exchange) limitAt(u *upstream) uint64 {
	if x.limits[0] == 0 {
		model := x.model()
		for i, who := range [2]string{1: extract.Credential(x.req) + x.req.Scope} {
			x.limits[i] = max(1, maphash.Comparable(seed, [3]string{x.req.Path, model, who}))
		}
	}
	if u.key == "" {
		return x.limits[1]
	}
	return x.limits[0]
}

// pays reports whether what the request costs at u is on an account of its client: u gets the
// credential of the client, and there is one.
func (x *exchange) pays(u *upstream) bool { return x.limitAt(u) != x.limits[0] }

// inBody finds the model in a body.
var inBody = extract.Body("model")

// model returns the model that the body names, or "": then there is none, or the path names it,
// or it counts as one with all that cannot be found, as in what is not JSON.
func (x *exchange) model() string {
	s, _ := inBody.Extract(x.req)
	return s.ID
}
