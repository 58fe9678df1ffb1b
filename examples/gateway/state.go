package main

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-affinity/affinity"
)

// keepsState reports whether the API at path keeps state that later requests
// can refer to. Others, which name every answer too, would fill the table.
func keepsState(path string, h http.Header) bool {
	for _, word := range []string{"/responses", "/conversations", "/interactions", "/cachedContents", "/files", "/containers", "/operations/"} {
		if strings.Contains(path, word) {
			return true
		}
	}
	for _, created := range []string{ // and not what is in them
		"/threads", "/threads/runs", "/sessions", "/agents", "/environments", "/vaults", "/memory_stores", "/deployments", "/skills",
		"/batches", "/jobs", "/uploads", "/vector_stores", "/fileSearchStores", "/context/create", "/api/v1/chat",
		"/videos", "/videos/generations", "/videos/edits", "/videos/extensions", "/generations/tasks", "-synthesis", "/asr/transcription",
		":batchGenerateContent", ":predictLongRunning",
	} {
		if strings.HasSuffix(path, created) {
			return true
		}
	}
	if dir := path[:strings.LastIndexByte(path, '/')+1]; strings.HasSuffix(dir, "/batches/") || strings.HasSuffix(dir, "/jobs/") {
		return true // which name what they have written, once they are done
	}
	return slices.ContainsFunc(h["Anthropic-Beta"], func(beta string) bool {
		return strings.Contains(beta, "message-threads")
	})
}

// leaves returns which of the ids in an answer of the API at path are of state that later requests
// can refer to, or nil if none are. The request had that header and body.
func leaves(path string, h http.Header, body []byte) func(id string) bool {
	switch {
	case keepsState(path, h):
		return func(string) bool { return true }
	case strings.HasSuffix(path, "/messages"): // Anthropic's: code leaves a container behind and files in it, but nothing else is kept
		return func(id string) bool { return strings.HasPrefix(id, "container_") || strings.HasPrefix(id, "file_") }
	case strings.HasSuffix(path, "/chat/completions") && bytes.Contains(body, []byte(`"deferred"`)): // xAI's may be asked for later, by a UUID
		return func(id string) bool { return len(id) == len("3f0c0a4e-9f0e-4d0c-8a59-0c6a7d0b0000") }
	}
	return nil
}

// stateIn returns how long it takes until the upstream is there again that holds
// state which the request refers to: 0 if it is among the candidates, or nobody
// knows which it is, or it has not said when.
func (x *exchange) stateIn(now time.Time, candidates []*upstream) time.Duration {
	if len(candidates) == len(x.upstreams) || len(x.req.Pins()) == 0 {
		return 0
	}
	b, _ := x.sel.Peek(x.req)
	u := x.find(b.Target)
	if u == nil {
		return 0
	}
	standing, _, until := u.health.admit(now, x.limitAt(u), false)
	if standing != refusing {
		return 0
	}
	return until.Sub(now)
}

// misses reports whether the answer may say no more than that the state which the request
// refers to is elsewhere: at the upstream that it is away from. Were the client to believe
// it, it would give up a conversation that can go on in a moment. If it says something
// else, the answer can still be read; else it is closed.
func (x *exchange) misses(resp *http.Response) bool {
	if x.choice.Reason != affinity.ReasonFailover && x.choice.Reason != affinity.ReasonDetour ||
		resp.StatusCode != http.StatusBadRequest && resp.StatusCode != http.StatusNotFound || len(x.req.Pins()) == 0 {
		return false
	}
	if resp.StatusCode == http.StatusBadRequest {
		if said, ok := glance(resp); ok && !speaksOfState(said, x.req.Pins()) {
			return false
		}
	}
	resp.Body.Close()
	return true
}

// missing are words of answers that say that there is no such state, and names of what is
// meant by it.
var missing = [...]string{
	"not found", "not_found", "notfound", "not exist", "no such", "expired", "deleted",
	"previous_", "previous response", "conversation", "interaction", "cached", "container", "vector", "file", "item", "thread", "session",
}

// speaksOfState reports whether an error may be about state by one of these ids. That it
// is about something else is believed only if nothing in it looks like that.
func speaksOfState(said []byte, ids []string) bool {
	if len(bytes.TrimSpace(said)) == 0 || slices.ContainsFunc(ids, func(id string) bool { return bytes.Contains(said, []byte(id)) }) {
		return true
	}
	said = bytes.ToLower(said)
	return slices.ContainsFunc(missing[:], func(word string) bool { return bytes.Contains(said, []byte(word)) })
}
