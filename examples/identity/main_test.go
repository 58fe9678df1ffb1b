package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
	"github.com/go-affinity/affinity/internal/corpus"
)

// What clients send tells all their sessions apart, in whatever order the
// requests come in.
func TestClientsAreToldApart(t *testing.T) {
	t.Parallel()
	for name, requests := range map[string][]corpus.Request{
		"one after the other": corpus.Clients(),
		"all at once":         corpus.Interleave(corpus.Clients()),
	} {
		results, err := measure(extract.Default(), requests)
		require.NoError(t, err)
		require.Len(t, results, 6)
		for _, r := range results {
			require.Zero(t, r.split+r.merged+r.moved, "%s: %+v", name, r)
			require.Equal(t, 1.0, r.precision)
			require.Equal(t, 1.0, r.recall)
		}
	}
}

// The messages alone tell them apart as well, but for calls that have nothing
// in common with the conversation they belong to: OpenCode's title calls and a
// sub-agent of Claude Code.
func TestMessagesTellClientsApart(t *testing.T) {
	t.Parallel()
	for name, requests := range map[string][]corpus.Request{
		"one after the other": corpus.Clients(),
		"all at once":         corpus.Interleave(corpus.Clients()),
	} {
		turns := requests[:0:0]
		for _, r := range requests {
			title := r.Client == "opencode" && r.Seq == 1
			if !title && r.Header.Get("X-Claude-Code-Agent-Id") == "" {
				turns = append(turns, r)
			}
		}
		results, err := measure(extract.Trail(), turns)
		require.NoError(t, err)
		for _, r := range results {
			require.Zero(t, r.split+r.merged+r.moved, "%s: %+v", name, r)
		}
	}
}

// A measure that cannot find a fault proves nothing.
func TestMeasureFindsFaults(t *testing.T) {
	t.Parallel()
	one := extract.ExtractorFunc(func(*extract.Request) (extract.Session, bool) {
		return extract.Session{Source: "constant", ID: "1"}, true
	})
	results, err := measure(one, corpus.Clients())
	require.NoError(t, err)
	for _, r := range results {
		require.Equal(t, 3, r.merged)
		require.Less(t, r.precision, 0.5)
		require.Equal(t, 1.0, r.recall)
	}
	results, err = measure(extract.Chain{}, corpus.Clients())
	require.NoError(t, err)
	for _, r := range results {
		require.Equal(t, 3, r.split)
		require.Equal(t, 3, r.moved)
		require.Zero(t, r.recall)
		require.Equal(t, []string{"nothing"}, r.sources)
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	require.NoError(t, report(&b, corpus.Clients()))
	require.Contains(t, b.String(), "claude-code")
	require.Error(t, report(&b, nil))
}

func TestLoad(t *testing.T) {
	t.Parallel()
	all, err := load(nil)
	require.NoError(t, err)
	require.Len(t, all, 60)
	name := filepath.Join(t.TempDir(), "x.jsonl")
	require.NoError(t, os.WriteFile(name, []byte(`{"client":"c","session":"s","body":{"a":1}}`+"\n"), 0o600))
	all, err = load([]string{name, name})
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.JSONEq(t, `{"a":1}`, string(all[0].Body))
	require.NoError(t, os.WriteFile(name, []byte(`{"client":`), 0o600))
	_, err = load([]string{name})
	require.ErrorContains(t, err, "request 1: unexpected EOF: want files of labelled requests")
	_, err = load([]string{"no such file"})
	require.ErrorContains(t, err, ": want files of labelled requests")
}
