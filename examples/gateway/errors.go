package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"
)

// A fault is why a request got no answer from an upstream, as its client is told.
type fault struct {
	status        int
	kind, message string
}

func (f *fault) Error() string { return f.message }

var (
	errNoUpstream  = &fault{http.StatusServiceUnavailable, "no_upstream_available", "all upstreams are out for now: try again later"}
	errStateAway   = &fault{http.StatusServiceUnavailable, "no_upstream_available", "the upstream that has what the request refers to is out for now: try again later"}
	errUpstream    = &fault{http.StatusBadGateway, "upstream_failed", "the upstream could not be reached, or closed the connection without an answer: try again"}
	errDenied      = &fault{http.StatusBadGateway, "upstream_denied", "the upstream denies the gateway's own credential, at least for this request: ask whoever runs the gateway to see to that"}
	errRequestBody = &fault{http.StatusBadRequest, "bad_request", "the request's body could not be read"}
)

// fail answers a request that no upstream has answered.
func (g *gateway) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // nobody is listening
	}
	x := r.Context().Value(exchangeKey{}).(*exchange)
	f, ok := errors.AsType[*fault](err)
	if !ok {
		f = errUpstream
	}
	if f.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", retryAfter(x.back(time.Now())))
	}
	x.status = f.status
	x.announceEnd()
	reply(w, f.status, f.kind, f.message)
}

func reply(w http.ResponseWriter, status int, kind, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"error": map[string]string{"type": kind, "message": message}})
}
