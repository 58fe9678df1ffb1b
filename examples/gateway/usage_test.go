package main

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity"
)

// What the fake upstreams say in every wire format is understood, however it is
// cut into pieces.
func TestUsageOfEveryFormat(t *testing.T) {
	t.Parallel()
	want := affinity.Usage{Uncached: 1200, Cached: 88000, Output: 1}
	for _, path := range []string{"/v1/messages", "/v1/chat/completions", "/v1/responses", "/v1beta/models/m:generateContent", "/v1beta/models/m:streamGenerateContent"} {
		for _, stream := range []bool{false, true} {
			w := httptest.NewRecorder()
			answer(w, path, stream, "1", usage{input: 89200, cached: 88000})
			text := w.Body.String()
			for _, step := range []int{1, 2, 7, 64, 1000, len(text)} {
				var u usageReader
				for rest := text; rest != ""; {
					n := min(step, len(rest))
					u.Write([]byte(rest[:n]))
					rest = rest[n:]
					require.LessOrEqual(t, len(u.buf), 2*maxUsage)
				}
				require.Equal(t, want, u.usage(), "%s stream=%t in pieces of %d", path, stream, step)
				require.False(t, u.failed)
			}
		}
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 100_000)
	for name, tt := range map[string]struct {
		text string
		want affinity.Usage
	}{
		"none":              {`{"id":"1"}`, affinity.Usage{}},
		"null":              {`{"usage":null,"id":1}`, affinity.Usage{}},
		"cut off":           {`{"usage":{"prompt_tokens":5`, affinity.Usage{}},
		"in a text":         {`{"text":"\"usage\":{\"prompt_tokens\":5}"}`, affinity.Usage{}},
		"wrong type":        {`{"usage":{"prompt_tokens":"five"}}`, affinity.Usage{}},
		"another name":      {`{"usage_x":{"prompt_tokens":5}}`, affinity.Usage{}},
		"endless":           {`{"usage":{"x":"` + long + `"}}`, affinity.Usage{}},
		"after an endless":  {`{"usage":{"x":"` + long + `"},"usage":{"prompt_tokens":5}}`, affinity.Usage{Uncached: 5}},
		"behind much":       {`{"text":"` + long + `","usage":{"prompt_tokens":5,"completion_tokens":2}}`, affinity.Usage{Uncached: 5, Output: 2}},
		"white space":       {"{ \"usage\" : { \"prompt_tokens\" : 5 } }", affinity.Usage{Uncached: 5}},
		"braces in strings": {`{"usage":{"tier":"}{\"}","prompt_tokens":5}}`, affinity.Usage{Uncached: 5}},
		"written to the cache": {`{"usage":{"input_tokens":3,"cache_creation_input_tokens":40,"cache_read_input_tokens":500,"output_tokens":7}}`,
			affinity.Usage{Uncached: 43, Cached: 500, Output: 7}},
		"thoughts":         {`{"usageMetadata":{"promptTokenCount":10,"cachedContentTokenCount":4,"candidatesTokenCount":1,"thoughtsTokenCount":2}}`, affinity.Usage{Uncached: 6, Cached: 4, Output: 3}},
		"more than is":     {`{"usage":{"prompt_tokens":1,"prompt_tokens_details":{"cached_tokens":5}}}`, affinity.Usage{Cached: 5}},
		"two, in a stream": {"data: {\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}\n\ndata: {\"usage\":{\"output_tokens\":30}}\n\n", affinity.Usage{Uncached: 9, Output: 30}},
	} {
		for _, step := range []int{1, 5, len(tt.text)} {
			var u usageReader
			for rest := tt.text; rest != ""; {
				n := min(step, len(rest))
				u.Write([]byte(rest[:n]))
				rest = rest[n:]
			}
			require.Equal(t, tt.want, u.usage(), "%s in pieces of %d", name, step)
		}
	}
}

func TestErrorsInStreams(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n": true,
		"event: ping\ndata: {}\n\nevent: error\ndata: {}\n\n":                                    true,
		"data: {\"choices\":[]}\n\ndata: {\"error\":{\"message\":\"x\"}}\n\n":                    true,
		"event: response.failed\ndata: {\"type\":\"response.failed\",\"response\":{}}\n\n":       true,
		"event: content_block_delta\ndata: {\"text\":\"event: error\\n\"}\n\n":                   false,
		"data: {\"choices\":[{\"delta\":{\"content\":\"data: {\\\"error\\\":1}\"}}]}\n\n":        false,
		`{"error":null,"output":[]}`:                                 false,
		"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n": false,
	} {
		for _, step := range []int{1, 3, len(text)} {
			var u usageReader
			for rest := text; rest != ""; {
				n := min(step, len(rest))
				u.Write([]byte(rest[:n]))
				rest = rest[n:]
			}
			require.Equal(t, want, u.failed, "%q in pieces of %d", text, step)
		}
	}
}

func FuzzUsage(f *testing.F) {
	f.Add([]byte(`data: {"usage":{"prompt_tokens":5,"completion_tokens":2}}`), 3)
	f.Add([]byte(`{"a":"\"usage\":{","usageMetadata":{"promptTokenCount":10}}`), 1)
	f.Fuzz(func(t *testing.T, text []byte, step int) {
		if step <= 0 {
			return
		}
		var whole, pieces usageReader
		whole.Write(text)
		for rest := text; len(rest) > 0; {
			n := min(step, len(rest))
			pieces.Write(rest[:n])
			rest = rest[n:]
		}
		if len(text) <= maxUsage {
			require.Equal(t, whole.usage(), pieces.usage())
		}
		require.LessOrEqual(t, len(pieces.buf), 2*maxUsage)
	})
}
