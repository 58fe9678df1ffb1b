package main

import (
	"strconv"
	"strings"

	"github.com/go-affinity/affinity"
)

// A reading is what a response says of itself: what it took, in tokens, and
// whether it is an error in spite of its status. It reads OpenAI Chat and
// Responses, Anthropic Messages, Gemini and what is made after them, as JSON or
// as events, while they pass by, and keeps a few numbers.
type reading struct {
	lexer
	prompt    int  // input tokens,
	inclusive bool // with those from the cache among them
	cached    int
	written   int // to the cache, beside the prompt
	output    int
	thoughts  int // beside the output
	nonsense  bool

	failed bool
	kind   string // of the error; "" if it does not say
	named  int    // how many names it had so far
}

func newReading(events bool) *reading {
	r := new(reading)
	r.events, r.found = events, r.scalar
	return r
}

// maxTokens is more than any prompt has.
const maxTokens = 1 << 30

// scalar takes in a member. Later events repeat what earlier ones said, with
// more in it, so the largest number counts.
func (r *reading) scalar(in place, name, value []byte, text bool) {
	switch in {
	case top, inner:
		switch string(name) {
		case "type":
			if v := string(value); v == "error" || v == "response.failed" {
				r.failed = true
			}
		case "error": // by some, no more than a text
			r.failed = r.failed || text && len(value) > 0
		case "code":
			if r.failed && text {
				r.name(value)
			}
		}
	case ofError:
		// In what is no stream one that says nothing is none: OpenAI's jobs have one
		// with nulls.
		r.failed = r.failed || text && len(value) > 0 || !text && string(value) != "null"
		switch string(name) {
		case "type", "status", "code":
			if text {
				r.name(value)
			}
		}
	case ofUsage:
		if to := r.count(name); to != nil && !r.nonsense && string(value) != "null" {
			n, err := strconv.Atoi(string(value))
			if text || err != nil || n < 0 || n > maxTokens {
				r.nonsense = true
				return
			}
			*to = max(*to, n)
		}
	}
}

// maxNamed is how many names of an error are looked at. It has two or three.
const maxNamed = 16

// name notes the kind of an error; the most telling of its names counts.
func (r *reading) name(value []byte) {
	if r.named++; r.named > maxNamed {
		return
	}
	if kind := string(value); r.kind == "" || severity(kind) != affinity.TransientFailure {
		r.kind = kind
	}
}

// severity is what an error means that is told in the body of a response. What
// is not known is taken for a failure of the upstream.
func severity(kind string) affinity.Result {
	switch strings.ToLower(kind) {
	case "authentication_error", "permission_error", "billing_error", "insufficient_quota", "invalid_api_key",
		"account_deactivated", "billing_hard_limit_reached", "unauthenticated", "permission_denied":
		return affinity.TerminalFailure
	case "invalid_request_error", "invalid_argument", "invalid_prompt", "context_length_exceeded", "request_too_large",
		"not_found_error", "not_found", "model_not_found", "content_filter", "content_policy_violation",
		"failed_precondition", "out_of_range", "string_above_max_length", "invalid_image", "invalid_base64_image":
		return affinity.Neutral
	}
	return affinity.TransientFailure
}

// count returns what a member of the usage counts, or nil.
func (r *reading) count(name []byte) *int {
	switch string(name) {
	case "prompt_tokens", "promptTokenCount":
		r.inclusive = true
		return &r.prompt
	case "input_tokens":
		return &r.prompt
	case "cached_tokens", "prompt_cache_hit_tokens", "cachedContentTokenCount":
		r.inclusive = true
		return &r.cached
	case "cache_read_input_tokens":
		return &r.cached
	case "cache_creation_input_tokens":
		return &r.written
	case "completion_tokens", "output_tokens", "candidatesTokenCount":
		return &r.output
	case "thoughtsTokenCount":
		return &r.thoughts
	}
	return nil
}

// usage returns what was said so far, or zero if that makes no sense. A nil
// reading has read nothing.
func (r *reading) usage() affinity.Usage {
	if r == nil || r.nonsense {
		return affinity.Usage{}
	}
	u := affinity.Usage{Uncached: r.prompt, Cached: r.cached, Output: r.output + r.thoughts}
	if r.inclusive {
		u.Uncached -= r.cached
	} else {
		u.Uncached += r.written
	}
	if u.Uncached < 0 {
		return affinity.Usage{}
	}
	return u
}
