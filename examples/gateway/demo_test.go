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
	require.Regexp(t, "\n[1-9][0-9]* % of all input tokens came from a cache", out.String())
	require.NoError(t, demo(t.Context(), &again, extract.Default()))
	require.Equal(t, out.String(), again.String())
}

// Two sessions, one of which moves twice where all goes by turns.
func TestShow(t *testing.T) {
	t.Parallel()
	replayed := func(targets ...string) outcome {
		o := outcome{requests: []int{2, 3, 0}}
		for i, target := range targets {
			a := seen{client: []string{"codex", "claude"}[i%2], truth: []string{"s", "t"}[i%2], target: target, Usage: affinity.Usage{Uncached: 1000}}
			if i > 1 && target == targets[i-2] {
				a.Usage = affinity.Usage{Uncached: 100, Cached: 900}
			}
			o.answers = append(o.answers, a)
		}
		return o
	}
	var out strings.Builder
	show(&out, replayed("a", "b", "c", "b", "a"), replayed("a", "b", "a", "b", "a"))
	require.Equal(t, `5 requests of 2 conversations, recorded from real clients and replayed side by side
over 3 upstreams that each have a prompt cache of their own

                                   turns that stayed    tokens from a cache   input cost
client        sessions requests   round robin affinity   round robin affinity        saved
───────────────────────────────────────────────────────────────────────────────────────
claude               1        2        1 of 1   1 of 1          45 %     45 %          0 %
codex                1        3        0 of 2   2 of 2           0 %     60 %         54 %
───────────────────────────────────────────────────────────────────────────────────────
all                  2        5        1 of 3   3 of 3          18 %     54 %         39 %

requests at each upstream, with affinity
  a  ████████████████████████████████████████████████░░░░░░░░░░░░    2   40 %
  b  ████████████████████████████████████████████████████████████    3   60 %
  c  ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░    0    0 %

With affinity 3 of 3 turns came back to the upstream that had their prompt (1 without),
54 % of all input tokens came from a cache (18 % without), and the input cost 39 % less.
A cached token is taken to cost a tenth of an uncached one, and any token to be four bytes long.
`, out.String())
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
