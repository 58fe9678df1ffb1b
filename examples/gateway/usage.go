package main

import (
	"bytes"
	"encoding/json"

	"github.com/go-affinity/affinity"
)

// usageReader finds out what a response cost, and whether it tells of an error,
// from its text as it passes by: JSON or server-sent events, in any of the wire
// formats. It keeps some kilobytes at most.
type usageReader struct {
	buf    []byte
	skip   int // of buf: what was looked at already
	counts tokenCounts
	failed bool // the stream says that it broke off
}

const (
	maxUsage = 8 << 10 // no usage object is longer
	overlap  = 64      // what is kept of a piece, since a word may go on in the next
)

// Write implements io.Writer.
func (u *usageReader) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		k := min(len(p), maxUsage)
		u.take(p[:k])
		p = p[k:]
	}
	return n, nil
}

func (u *usageReader) take(p []byte) {
	u.buf = append(u.buf, p...)
	u.failed = u.failed || tellsOfError(u.buf)
	for {
		i := bytes.Index(u.buf[u.skip:], []byte(`"usage`))
		if i < 0 {
			u.drop(max(len(u.buf)-overlap, 0))
			return
		}
		start := u.skip + i
		value, whole := valueOf(u.buf[start:])
		if !whole && len(u.buf)-start < maxUsage {
			u.drop(start)
			return // the rest is yet to come
		}
		if whole && (start == 0 || u.buf[start-1] != '\\') { // else it is in a text
			json.Unmarshal(value, &u.counts)
		}
		u.skip = start + 1
	}
}

// drop forgets the first n bytes, but for one that a text may end with.
func (u *usageReader) drop(n int) {
	n = max(n-1, 0)
	u.buf = u.buf[:copy(u.buf, u.buf[n:])]
	u.skip = max(u.skip-n, 0)
}

// valueOf returns the object that is the value of the usage member that b
// begins with, or nil if it is none, and whether enough of b is there to tell.
func valueOf(b []byte) (value []byte, whole bool) {
	name, rest, ok := bytes.Cut(b, []byte{':'})
	if !ok {
		return nil, len(b) > overlap
	}
	if name = bytes.TrimSpace(name); string(name) != `"usage"` && string(name) != `"usageMetadata"` {
		return nil, true
	}
	if rest = bytes.TrimSpace(rest); len(rest) == 0 || rest[0] != '{' {
		return nil, len(rest) > 0
	}
	depth, quoted := 0, false
	for i := 0; i < len(rest); i++ {
		switch c := rest[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{':
			depth++
		case c == '}':
			if depth--; depth == 0 {
				return rest[:i+1], true
			}
		}
	}
	return nil, false
}

// tellsOfError reports whether an event of a stream says that the answer ends
// here, as Anthropic's and OpenAI's do. Behind a status of 200 there is no other
// way to say so.
func tellsOfError(b []byte) bool {
	for _, mark := range []string{"event: error\n", "event:error\n", `data: {"error":`, `data: {"type":"error"`, `data: {"type":"response.failed"`} {
		if i := bytes.Index(b, []byte(mark)); i == 0 || i > 0 && b[i-1] == '\n' {
			return true
		}
	}
	return false
}

// tokenCounts are the members of usage objects that count: those of OpenAI's
// Chat and Responses, Anthropic's and Gemini's. What a later object does not
// have stays: Anthropic's streams have the prompt first and the answer last.
type tokenCounts struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	InputTokens      int `json:"input_tokens"`
	OutputTokens     int `json:"output_tokens"`
	CacheRead        int `json:"cache_read_input_tokens"`
	CacheCreation    int `json:"cache_creation_input_tokens"`

	PromptDetails struct {
		Cached int `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
	InputDetails struct {
		Cached int `json:"cached_tokens"`
	} `json:"input_tokens_details"`

	PromptCount     int `json:"promptTokenCount"`
	CachedCount     int `json:"cachedContentTokenCount"`
	CandidatesCount int `json:"candidatesTokenCount"`
	ThoughtsCount   int `json:"thoughtsTokenCount"`
}

// usage puts them together. Anthropic does not count what was cached among the
// input tokens; the others do.
func (u *usageReader) usage() affinity.Usage {
	c := &u.counts
	cached := c.PromptDetails.Cached + c.InputDetails.Cached + c.CachedCount
	return affinity.Usage{
		Uncached: max(0, c.PromptTokens+c.InputTokens+c.CacheCreation+c.PromptCount-cached),
		Cached:   cached + c.CacheRead,
		Output:   c.CompletionTokens + c.OutputTokens + c.CandidatesCount + c.ThoughtsCount,
	}
}
