package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"time"
)

// An upstream is one place to send requests to.
type upstream struct {
	name string
	url  *url.URL
	key  string // the credential to use in place of the client's, or ""

	health  health
	paces   [2]pace      // by kind
	waiting atomic.Int32 // requests that it has not begun to answer
	heard   atomic.Int64 // when it last began to answer one, by gateway.age,
	mute    atomic.Int64 // and when one last could not reach it or was given up
	recent  recent
}

// request returns the request to send for out, which is left as it is: attempts
// share nothing that one of them changes. The second result is nil if the body
// is in memory and can be sent again. The timer is that of taken, if it may be needed.
func (u *upstream) request(ctx context.Context, out *http.Request, stall *time.Timer) (*http.Request, *upload) {
	r := out.WithContext(ctx)
	address := *out.URL
	r.URL = &address
	if u.key != "" {
		r.Header = out.Header.Clone()
		authorize(r, u.key)
	}
	(&httputil.ProxyRequest{Out: r}).SetURL(u.url)
	switch {
	case out.Body == nil || out.Body == http.NoBody:
		return r, nil
	case out.GetBody != nil:
		r.Body, _ = out.GetBody() // from memory: it cannot fail
		if stall != nil {
			stall.Reset(stalled)
			r.Body = taken{r.Body, stall}
		}
		r.GetBody = func() (io.ReadCloser, error) { return nil, errTurnedAway }
		return r, nil
	}
	body := newUpload(out.Body, ctx.Done())
	trace := &httptrace.ClientTrace{Got100Continue: body.wanted}
	if len(out.Header["Expect"]) > 0 {
		trace.GotFirstResponseByte = body.answers
	}
	r = r.WithContext(httptrace.WithClientTrace(ctx, trace))
	r.Body = body
	return r, body
}
