package main

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity"
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
	for want, answers := range map[string][]seen{
		"session s moved from a to b":         {{truth: "s", target: "a", session: "1"}, {truth: "s", target: "b", session: "1"}},
		"sessions s and t were taken for one": {{truth: "s", target: "a", session: "1"}, {truth: "t", target: "a", session: "1"}},
		"not recognised":                      {{truth: "s", target: "a"}},
	} {
		require.ErrorContains(t, outcome{answers: answers}.check(), want)
	}
	var out bytes.Buffer
	require.ErrorContains(t, demo(t.Context(), &out, extract.ExtractorFunc(func(*extract.Request) (extract.Session, bool) {
		return extract.Session{Source: "x", ID: "1"}, true
	})), "were taken for one")
	require.NotEmpty(t, out.String())
}

func TestFakeCachesPrefixes(t *testing.T) {
	t.Parallel()
	var f fake
	read := func(text string) affinity.Usage {
		var prompt map[string]any
		require.NoError(t, json.Unmarshal([]byte(text), &prompt))
		return f.read(prompt)
	}
	const system = `"system":[{"type":"text","text":"be kind"},{"type":"text","text":"be brief"}],`
	marked := strings.Replace(system, "}],", `,"cache_control":{"type":"ephemeral"}}],`, 1)
	first := read(`{` + marked + `"messages":[{"role":"user","content":[{"type":"text","text":"hi","cache_control":{}}]}]}`)
	require.Zero(t, first.Cached)
	second := read(`{` + system + `"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"hello"}]}`)
	require.Equal(t, first.Uncached, second.Cached)
	require.NotZero(t, second.Uncached)
	require.Zero(t, read(`{"messages":[{"role":"user","content":"hi"}]}`).Cached, "not without what was before it")
}
