package main

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity"
)

const (
	claudeStream = "event: message_start\n" +
		`data: {"type":"message_start","message":{"id":"msg_1","content":[],"usage":{"input_tokens":25,"cache_creation_input_tokens":300,"cache_read_input_tokens":4000,"cache_creation":{"ephemeral_5m_input_tokens":300},"output_tokens":1,"service_tier":"standard"}}}` + "\n\n" +
		"event: ping\ndata: {\"type\": \"ping\"}\n\n: a comment {\"usage\":{\n\n" +
		"event: content_block_delta\n" +
		`data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\"usage\":{\"input_tokens\":9}"}}` + "\n\n" +
		"event: message_delta\n" +
		`data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":77}}` + "\n\n" +
		"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
	chatStream = `data: {"id":"c","choices":[{"index":0,"delta":{"content":"hi"}}],"usage":null}` + "\n\n" +
		`data: {"id":"c","choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":20,"total_tokens":1020,"prompt_tokens_details":{"cached_tokens":896,"audio_tokens":900},"completion_tokens_details":{"reasoning_tokens":7}}}` + "\n\n" +
		"data: [DONE]\n\n"
	responsesStream = "event: response.created\r\n" +
		`data: {"type":"response.created","response":{"id":"resp_1","error":null,"status":"in_progress","usage":null}}` + "\r\n\r\n" +
		"event: response.completed\r\n" +
		`data: {"type":"response.completed","response":{"id":"resp_1","error":null,"output":[{"usage":{"input_tokens":5}}],"usage":{"input_tokens":500,"input_tokens_details":{"cached_tokens":384},"output_tokens":30,"output_tokens_details":{"reasoning_tokens":10},"total_tokens":530}}}` + "\r\n\r\n"
	geminiStream = `data: {"candidates":[{"content":{"parts":[{"text":"a"}]}}],"usageMetadata":{"promptTokenCount":90,"candidatesTokenCount":1}}` + "\n\n" +
		`data: {"candidates":[],"usageMetadata":{"promptTokenCount":90,"cachedContentTokenCount":60,"candidatesTokenCount":8,"thoughtsTokenCount":5,"promptTokensDetails":[{"modality":"TEXT","tokenCount":90}]}}` + "\n\n"
)

func TestUsage(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		text   string
		events bool
		want   affinity.Usage
	}{
		"claude stream":    {claudeStream, true, affinity.Usage{Uncached: 325, Cached: 4000, Output: 77}},
		"chat stream":      {chatStream, true, affinity.Usage{Uncached: 104, Cached: 896, Output: 20}},
		"responses stream": {responsesStream, true, affinity.Usage{Uncached: 116, Cached: 384, Output: 30}},
		"gemini stream":    {geminiStream, true, affinity.Usage{Uncached: 30, Cached: 60, Output: 13}},
		"stream in no stream's clothes": {claudeStream[:strings.Index(claudeStream, ": a comment")], false,
			affinity.Usage{Uncached: 325, Cached: 4000, Output: 1}},
		"data over several lines":        {"data: {\"usage\":\ndata: {\"input_tokens\":\ndata: 7}}\n\n", true, affinity.Usage{Uncached: 7}},
		"lines of what is passed over":   {"data: {\"a\":[1,\ndata: 2,\ndata: 3],\ndata: \"usage\":{\"input_tokens\":7}}\n\n", true, affinity.Usage{Uncached: 7}},
		"no fields":                      {"\n{\"usage\":{\"input_tokens\":7}}\n", true, affinity.Usage{Uncached: 7}},
		"broken list, then a good one":   {"data: {\"a\":[1,\n\ndata: {\"usage\":{\"input_tokens\":3}}\n\n", true, affinity.Usage{Uncached: 3}},
		"broken text, then a good one":   {"data: {\"a\":[\"\n\ndata: {\"usage\":{\"input_tokens\":3}}\n\n", true, affinity.Usage{Uncached: 3}},
		"broken escape, then a good one": {"data: {\"a\":[\"\\\ndata: {\"usage\":{\"input_tokens\":3}}\n\n", true, affinity.Usage{Uncached: 3}},
		"broken event, then a good one":  {"data: {\"usage\":{\"input_tokens\": \"\n\ndata: {\"usage\":{\"input_tokens\":3}}\n\n", true, affinity.Usage{Uncached: 3}},

		"claude": {`{"type":"message","content":[{"type":"tool_use","input":{"usage":{"input_tokens":99999}}}],"usage":{"input_tokens":5,"cache_read_input_tokens":70,"cache_creation_input_tokens":null,"output_tokens":2}}`, false,
			affinity.Usage{Uncached: 5, Cached: 70, Output: 2}},
		"chat":            {`{"choices":[{"message":{"content":"x","usage":{"prompt_tokens":4}}}], "usage" : { "prompt_tokens" : 12 , "completion_tokens":3 ,"prompt_tokens_details":{"cached_tokens":0}} }`, false, affinity.Usage{Uncached: 12, Output: 3}},
		"all cached":      {`{"usage":{"prompt_tokens":12,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":12}}}`, false, affinity.Usage{Cached: 12, Output: 3}},
		"a bridge":        {`{"usage":{"prompt_tokens":50,"cache_read_input_tokens":40,"cache_creation_input_tokens":5}}`, false, affinity.Usage{Uncached: 10, Cached: 40}},
		"deepseek":        {`{"usage":{"prompt_tokens":50,"prompt_cache_hit_tokens":40,"prompt_cache_miss_tokens":10,"completion_tokens":1}}`, false, affinity.Usage{Uncached: 10, Cached: 40, Output: 1}},
		"gemini list":     {`[{"usageMetadata":{"promptTokenCount":9}},` + "\n\n" + `{"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":4}}]`, false, affinity.Usage{Uncached: 9, Output: 4}},
		"code assist":     {`{"response":{"usageMetadata":{"promptTokenCount":9}}}`, false, affinity.Usage{Uncached: 9}},
		"escaped text":    {`{"a":"\\\"}}}{\\","b":"","usage":{"input_tokens":1}}`, false, affinity.Usage{Uncached: 1}},
		"text in a list":  {`{"":["\nb","\\\"}}]{\\",""],"usage":{"input_tokens":1}}`, false, affinity.Usage{Uncached: 1}}, // the first 7 end in a backslash
		"broken lines":    {"{\"a\":\"x\ny\",\n\n\"usage\":{\"input_tokens\":1}}", false, affinity.Usage{Uncached: 1}},
		"cut off behind":  {`{"usage":{"input_tokens":15,"output_tokens":2},"con`, false, affinity.Usage{Uncached: 15, Output: 2}},
		"end of a number": {`{"usage":{"input_tokens":15`, false, affinity.Usage{}},

		"nothing":              {"", false, affinity.Usage{}},
		"no usage":             {`{"id":"x"}`, false, affinity.Usage{}},
		"null":                 {`{"usage":null}`, false, affinity.Usage{}},
		"a text":               {`{"usage":{"input_tokens":"12","output_tokens":5}}`, false, affinity.Usage{}},
		"negative":             {`{"usage":{"input_tokens":-12,"output_tokens":5}}`, false, affinity.Usage{}},
		"broken number":        {`{"usage":{"input_tokens":1.5,"output_tokens":5}}`, false, affinity.Usage{}},
		"too large":            {`{"usage":{"input_tokens":99999999999,"output_tokens":5}}`, false, affinity.Usage{}},
		"endless number":       {`{"usage":{"input_tokens":` + strings.Repeat("1", 1000) + `,"output_tokens":5}}`, false, affinity.Usage{}},
		"more cached than all": {`{"usage":{"prompt_tokens":1,"prompt_tokens_details":{"cached_tokens":2}}}`, false, affinity.Usage{}},
		"too deep":             {strings.Repeat(`{"message":`, 100) + `{"usage":{"input_tokens":1}}`, false, affinity.Usage{}},
		"behind what is deep":  {`{"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `,"usage":{"input_tokens":1}}`, false, affinity.Usage{Uncached: 1}},
		"a long name":          {`{"` + strings.Repeat("usage", 30) + `":{"input_tokens":1}}`, false, affinity.Usage{}},
		"closing and closing":  {`}}]}{"usage":{"input_tokens":1}}`, false, affinity.Usage{Uncached: 1}},
		"no JSON":              {"<html>\"{\"usage\":", false, affinity.Usage{}},
	} {
		for _, piece := range []int{1, 7, 1 << 20} {
			r := newReading(tt.events)
			for text := tt.text; text != ""; {
				n := min(piece, len(text))
				wrote, err := r.Write([]byte(text[:n]))
				require.NoError(t, err)
				require.Equal(t, n, wrote)
				text = text[n:]
			}
			require.Equal(t, tt.want, r.usage(), "%s, by %d", name, piece)
			require.False(t, r.failed, name)
		}
	}
}

func TestErrorsInResponses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]affinity.Result{
		"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n": affinity.TransientFailure,
		`data: {"error":{"message":"The server had an error","type":"server_error","code":null}}` + "\n\n":                  affinity.TransientFailure,
		`data: {"error":{"code":503,"message":"m","status":"UNAVAILABLE"}}` + "\n\n":                                        affinity.TransientFailure,
		`data: {"error":"out of memory"}` + "\n\n":                                                                          affinity.TransientFailure,
		`data: {"error":{}}` + "\n\n":                                                                            affinity.TransientFailure,
		`data: {"type":"error","code":"server_error","message":"m"}` + "\n\n":                                    affinity.TransientFailure,
		`data: {"type":"response.failed","response":{"error":{"code":"server_error","message":"m"}}}` + "\n\n":   affinity.TransientFailure,
		`data: {"type":"response.failed","response":{"error":{"code":"invalid_prompt","message":"m"}}}` + "\n\n": affinity.Neutral,
		`data: {"type":"error","error":{"type":"invalid_request_error","message":"m"}}` + "\n\n":                 affinity.Neutral,
		`data: {"type":"error","error":{"type":"authentication_error","message":"m"}}` + "\n\n":                  affinity.TerminalFailure,
		`data: {"error":{"type":"insufficient_quota","code":"insufficient_quota"}}` + "\n\n":                     affinity.TerminalFailure,
		`data: {"type":"response.failed","response":{"error":null}}` + "\n\n":                                    affinity.TransientFailure,
		`data: {"type":"error","code":"invalid_prompt","message":"m"}` + "\n\n":                                  affinity.Neutral,
		`data: {"error":{"type":"server_error","code":"invalid_prompt"}}` + "\n\n":                               affinity.Neutral,
		`data: {"error":{"code":"invalid_prompt","type":"server_error"}}` + "\n\n":                               affinity.Neutral,
		"data: {\"code\":\"not_found\"}\n\ndata: {\"error\":{\"type\":\"server_error\"}}\n\n":                    affinity.TransientFailure,
		`[{"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}]`:                                                 affinity.TransientFailure,
		`{"error":{"message":"m"}}`: affinity.TransientFailure,
		`{"error":{"code":503}}`:    affinity.TransientFailure,
	} {
		r := newReading(strings.HasPrefix(text, "event") || strings.HasPrefix(text, "data"))
		io.WriteString(r, text)
		require.True(t, r.failed, text)
		require.Equal(t, want, severity(r.kind), text)
		require.Equal(t, strings.Contains(text, "EXHAUSTED"), tooMuch(r.kind), text)
	}
	for _, text := range []string{
		`{"error":null}`, `{"error":""}`, `{"response":{"error":null},"type":"response.completed"}`,
		`{"choices":[{"error":{"type":"x"}}]}`, `{"type":"message","content":[{"type":"error"}]}`, `{"error":["x"]}`,
		`{"error":{}}`, `{"error":{"code":null,"message":""}}`,
	} {
		r := newReading(false)
		io.WriteString(r, text)
		require.False(t, r.failed, text)
	}
}

// Whatever a response is made of, reading it takes the same little memory.
func TestReadingAllocatesNothing(t *testing.T) {
	r := newReading(true)
	hostile := []byte(claudeStream + strings.Repeat("{", 1000) + `"` + strings.Repeat(`a\"`, 10_000) + "\n\n" + chatStream +
		strings.Repeat(`data: {"error":{"type":"ÉRROR"},"usage":{"input_tokens":x}}`+"\n\n", 100))
	require.Zero(t, testing.AllocsPerRun(10, func() { r.Write(hostile) }))
}

func FuzzReading(f *testing.F) {
	for _, s := range []string{claudeStream, chatStream, responsesStream, geminiStream, `{"error":{"type":"x"}}`, `[{"usage":{"input_tokens":1}}]`} {
		f.Add(s, uint8(3), true)
		f.Add(s, uint8(200), false)
	}
	// However it is cut, it is read the same.
	f.Fuzz(func(t *testing.T, s string, piece uint8, events bool) {
		whole, parts := newReading(events), newReading(events)
		io.WriteString(whole, s)
		for rest := s; rest != ""; {
			n := min(int(piece)+1, len(rest))
			io.WriteString(parts, rest[:n])
			rest = rest[n:]
		}
		require.Equal(t, whole.usage(), parts.usage())
		require.Equal(t, whole.failed, parts.failed)
		require.Equal(t, whole.kind, parts.kind)
	})
}

func BenchmarkReading(b *testing.B) {
	for name, text := range map[string]string{
		"stream": claudeStream,
		"text":   `{"content":[{"text":"` + strings.Repeat("many words ", 3000) + `"}]}`,
	} {
		b.Run(name, func(b *testing.B) {
			p := []byte(text)
			r := newReading(name == "stream")
			b.SetBytes(int64(len(p)))
			for b.Loop() {
				r.Write(p)
			}
		})
	}
}
