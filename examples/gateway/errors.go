package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"
)

// Why a request got no answer from an upstream; what the client is told.
var (
	errNoUpstream  = errors.New("all upstreams are out for now: try again later")
	errUpstream    = errors.New("the upstream could not be reached, or closed the connection without an answer")
	errStateAway   = errors.New("the upstream that has what the request refers to is out for now: try again later")
	errDenied      = errors.New("the upstream does not accept the gateway's own credential, or not for this request: whoever runs the gateway has to see to that")
	errRequestBody = errors.New("the request's body could not be read")
)

// fail answers a request that no upstream has answered.
func (g *gateway) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // nobody is listening
	}
	x := r.Context().Value(exchangeKey{}).(*exchange)
	status, kind, message := http.StatusBadGateway, "upstream_failed", errUpstream
	switch {
	case errors.Is(err, errNoUpstream), errors.Is(err, errStateAway):
		status, kind, message = http.StatusServiceUnavailable, "no_upstream_available", err
		w.Header().Set("Retry-After", retryAfter(x.back(time.Now())))
	case errors.Is(err, errDenied):
		kind, message = "upstream_denied", errDenied
	case errors.Is(err, errRequestBody):
		status, kind, message = http.StatusBadRequest, "bad_request", errRequestBody
	}
	x.status = status
	x.announceEnd()
	reply(w, status, kind, message.Error())
}

func reply(w http.ResponseWriter, status int, kind, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"error": map[string]string{"type": kind, "message": message}})
}
