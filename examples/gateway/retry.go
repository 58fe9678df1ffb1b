package main

import (
	"errors"
	"net/http"
)

// RoundTrip implements http.RoundTripper: it sends a request to the upstream of
// its session, and if that fails, to others, as long as nothing was sent to the
// client. If all fail, the client gets the last answer that an upstream gave.
func (g *gateway) RoundTrip(out *http.Request) (*http.Response, error) {
	ctx := out.Context()
	x := ctx.Value(exchangeKey{}).(*exchange)
	prepare(out)
	var resp *http.Response // of the last attempt
	var err error
	var before *kept // the last one before that
	for {
		last := x.choice
		if none := g.choose(ctx, x); none != nil {
			if x.attempts == 0 {
				return nil, none
			}
			break
		}
		if resp != nil {
			before = keep(resp, last)
		}
		var again bool
		resp, again, err = g.try(out, x)
		if errors.Is(err, errStateAway) {
			break
		}
		if !again || ctx.Err() != nil {
			x.hasten(resp)
			return resp, err
		}
		x.tried = append(x.tried, x.choice.Target)
	}
	if resp == nil && before.whole() {
		resp, err = before.resp, nil
		x.choice = before.choice
	}
	x.hasten(resp)
	return resp, err
}

// prepare makes out fit to be sent, whatever the upstream.
func prepare(out *http.Request) {
	if out.GetBody != nil {
		delete(out.Header, "Expect") // the body is here: nobody has to wait for leave to send it
	}
	if keepsState(out.URL.Path, out.Header) || out.Method == http.MethodPost && len(out.Header["Accept-Encoding"]) > 0 {
		out.Header["Accept-Encoding"] = []string{"identity"} // what is read on the way is not compressed
	}
}
