package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
	"github.com/go-affinity/affinity/internal/corpus"
)

func TestDemo(t *testing.T) {
	t.Parallel()
	var out, again bytes.Buffer
	require.NoError(t, demo(t.Context(), &out, extract.Default()))
	for _, client := range []string{"claude", "codex", "gemini", "opencode", "pi-chat", "pi-responses", "all"} {
		require.Contains(t, out.String(), "\n"+client+" ")
	}
	for line := range strings.Lines(out.String()) {
		require.LessOrEqual(t, utf8.RuneCountInString(line), 100, line)
	}
	require.NoError(t, demo(t.Context(), &again, extract.Default()))
	require.Equal(t, out.String(), again.String())
}

// The corpus through the gateway, in either order: nobody moves, no two share an
// Affinity-Session, and the busiest upstream has at most 1.6 times the mean.
func TestCorpus(t *testing.T) {
	t.Parallel()
	for _, requests := range [][]corpus.Request{corpus.Clients(), corpus.Interleave(corpus.Clients())} {
		out, err := replay(t.Context(), requests, extract.Default(), nil)
		require.NoError(t, err)
		require.NoError(t, out.check())
		require.LessOrEqual(t, float64(slices.Max(out.requests)), 1.6*float64(len(requests))/4)
		s := out.sums("")
		require.Equal(t, s.later, s.stayed)
	}
}

// The demo fails if the extractor does not do its work.
func TestDemoFindsFaults(t *testing.T) {
	t.Parallel()
	call := 0
	for want, id := range map[string]func(*extract.Request) string{
		"moved":              func(*extract.Request) string { call++; return fmt.Sprint(call) },
		"were taken for one": func(*extract.Request) string { return "1" },
	} {
		var out bytes.Buffer
		err := demo(t.Context(), &out, extract.ExtractorFunc(func(r *extract.Request) (extract.Session, bool) {
			return extract.Session{Source: "x", ID: id(r)}, true
		}))
		require.ErrorContains(t, err, want)
		require.NotEmpty(t, out.String())
	}
	out, err := replay(t.Context(), corpus.Clients()[:1], extract.Chain{}, nil)
	require.NoError(t, err)
	require.ErrorContains(t, out.check(), "not recognised")
}

func TestFakeCachesPrefixes(t *testing.T) {
	t.Parallel()
	var f fake
	read := func(text string) usage {
		var prompt object
		require.NoError(t, json.Unmarshal([]byte(text), &prompt))
		u, _ := f.read(prompt)
		return u
	}
	const system = `"system":[{"type":"text","text":"be kind"},{"type":"text","text":"be brief"}],`
	marked := strings.Replace(system, "}],", `,"cache_control":{"type":"ephemeral"}}],`, 1)
	first := read(`{` + marked + `"messages":[{"role":"user","content":[{"type":"text","text":"hi","cache_control":{}}]}]}`)
	require.Zero(t, first.cached)
	second := read(`{` + system + `"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"hello"}]}`)
	require.Equal(t, first.input, second.cached)
	require.Greater(t, second.input, first.input)
	require.Zero(t, read(`{"messages":[{"role":"user","content":"hi"}]}`).cached, "not without what was before it")
}

// A fake upstream speaks the format that it is asked in, whole and streamed.
func TestFakeFormats(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(new(fake))
	defer server.Close()
	for _, tt := range []struct {
		path, prompt   string
		text           string // where the JSON has the text
		first, last    string // what begins and ends the stream
		gemini, events int
	}{
		{"/v1/messages", "messages", `"content":[{"text":"Done.","type":"text"}]`, "event: message_start", "event: message_stop", 0, 6},
		{"/v1/chat/completions", "messages", `"message":{"content":"Done.","role":"assistant"}`, `data: {"choices":[{"delta":{"content":"Done."`, "data: [DONE]", 0, 4},
		{"/v1/responses", "input", `"content":[{"text":"Done.","type":"output_text"}]`, "event: response.created", "event: response.completed", 0, 3},
		{"/v1beta/models/m:generateContent", "contents", `"parts":[{"text":"Done."}]`, "", "", 1, 0},
		{"/v1beta/models/m:streamGenerateContent", "contents", `"parts":[{"text":"Done."}]`, "data: {", "data: {", 2, 1},
	} {
		for _, stream := range []bool{false, true} {
			if tt.gemini > 0 && stream != (tt.gemini == 2) {
				continue
			}
			resp, err := http.Post(server.URL+tt.path, "application/json", strings.NewReader(
				fmt.Sprintf(`{"stream":%v,%q:[{"role":"user","content":"a question of some length"}]}`, stream, tt.prompt)))
			require.NoError(t, err)
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			require.NoError(t, err)
			require.NotEqual(t, "0", resp.Header.Get(inputHeader))
			if !stream {
				require.True(t, json.Valid(body))
				require.Contains(t, string(body), tt.text)
				require.Contains(t, strings.ToLower(string(body)), "usage")
				continue
			}
			require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
			events := strings.Split(strings.TrimSuffix(string(body), "\n\n"), "\n\n")
			require.Len(t, events, tt.events)
			require.True(t, strings.HasPrefix(events[0], tt.first), events[0])
			require.True(t, strings.HasPrefix(events[len(events)-1], tt.last), events[len(events)-1])
			for lines := bufio.NewScanner(bytes.NewReader(body)); lines.Scan(); {
				if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && data != "[DONE]" {
					require.True(t, json.Valid([]byte(data)), data)
				}
			}
		}
	}
	resp, err := http.Post(server.URL+"/v1/messages", "application/json", strings.NewReader("nonsense"))
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, 400, resp.StatusCode)
}
