package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/bench/speed/internal/result"
)

func row(name string, samples ...float64) result.Row {
	return result.Row{Name: name, Samples: samples}
}

// measured is a small run.
func measured() *result.Run {
	sized := row("affinity", 2000, 3000, 4000)
	sized.Size = 6000
	infinite := row("plain", 0, 0)
	infinite.Size = 6000
	return &result.Run{
		When: time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC), Go: "go1.26", Platform: "linux/amd64", CPU: "EPYC", Procs: 2, Revision: "abc",
		Groups: []result.Group{
			{Name: "header", Races: []result.Race{
				{Name: "2 kB of body, 8 candidates", Unit: "ns", Rows: []result.Row{row("affinity", 100, 110, 120), row("plain", 400), {Name: "gone", Missing: "why"}}},
				{Name: "2 kB of body, 64 candidates", Unit: "ns", Rows: []result.Row{row("affinity", 1)}},
				{Name: "2 MB of body, 512 candidates", Unit: "ns", Rows: []result.Row{row("affinity", 105)}},
			}, Verdicts: []result.Verdict{
				{Target: "a hit", Value: result.SpreadOf([]float64{100, 110, 120}), Unit: "ns", Limit: 150, AtMost: true},
				{Target: "more", Value: result.SpreadOf([]float64{1}), Unit: "x", Limit: 2, Note: "why"},
			}},
			{Name: "bodyid", Races: []result.Race{{Name: "agent, 2 MB, head", Unit: "ns", Rows: []result.Row{sized}}}},
			{Name: "messages", Races: []result.Race{{Name: "2 MB", Unit: "ns", Rows: []result.Row{sized, infinite}}}},
			{Name: "memory", Races: []result.Race{
				{Name: "heap", Unit: "B a session", Rows: []result.Row{row("affinity", 50), row("plain", 180)}},
				{Name: "CPU of a garbage collection", Unit: "ms", Rows: []result.Row{row("affinity", 0.5), row("plain", 66), row("no table", 0, 0, 1)}},
			}},
			{Name: "hostile", Races: []result.Race{
				{Name: "quotes", Unit: "ms", Rows: []result.Row{row("affinity", 7), row("gjson.ValidBytes", 4)}},
				{Name: "braces", Unit: "ms", Rows: []result.Row{row("affinity", 8)}},
			}},
			{Name: "streaming", Races: []result.Race{{Name: "delay", Unit: "us", Rows: []result.Row{row("gateway", 428), row("no proxy", 241)}}}},
			{Name: "cold", Races: []result.Race{{Name: "one request", Unit: "ns", Rows: []result.Row{row("first bind, 2 kB", 4), row("failover, 256 kB", 5), row("plain", 6)}}}},
			{Name: "somebody else's", Races: []result.Race{{Name: "x", Unit: "ns", Rows: []result.Row{row("y", 1)}}}},
		},
	}
}

func TestTables(t *testing.T) {
	t.Parallel()
	text := string(tables(measured(), map[string]bool{"header.svg": true}))
	for _, want := range []string{
		"Measured on 2026-11-23 by `go run -C bench ./speed` at revision abc, with go1.26 on linux/amd64",
		"![A request of a bound session, by a header](bench/charts/header.svg)\n",
		"| ns | 2 kB of body, 8 candidates | 2 MB of body, 512 candidates |\n|---|---:|---:|\n| **affinity** | 110 | 105 |\n| plain | 400 |  |\n| gone |  |  |\n",
		"| us | agent, 2 MB, head |\n|---|---:|\n| **affinity** | 3.00 |\n",
		"| GB/s | 2 MB |\n|---|---:|\n| **affinity** | 2.00 |\n",
		"|  | heap, B a session | CPU of a garbage collection, ms |\n|---|---:|---:|\n| **affinity** | 50.0 | 0.50 |\n| plain | 180 | 66.0 |\n| no table |  | 0 |\n",
		"<details><summary>Each of them, beside gjson.ValidBytes, which finds no session</summary>\n\n" +
			"| 2 MB of, ms | **affinity** | gjson.ValidBytes |\n|---|---:|---:|\n| quotes | 7.00 | 4.00 |\n| braces | 8.00 |  |\n\n</details>\n",
		"Not measured in this run: formats, shapes, table, stall, scaling, gateway.",
		"| us | delay |\n|---|---:|\n| **gateway** | 428 |\n| no proxy | 241 |\n",
		"| **first bind, 2 kB** | 4.00 |\n| **failover, 256 kB** | 5.00 |\n| plain | 6.00 |\n",
		"Targets: 1 of 2 met",
		"| header | a hit | 110 [105, 115] ns | ≤ 150 ns | met |\n| header | more (why) | 1.00 x | ≥ 2.00 x | missed |\n",
	} {
		require.Contains(t, text, want)
	}
	require.NotContains(t, text, "heap.svg", "was not drawn")
	require.NotContains(t, text, "short run")
	require.NotContains(t, text, "### The table")
	quick := measured()
	quick.Quick = true
	require.Contains(t, string(tables(quick, nil)), "not to be quoted")
	require.Contains(t, string(tables(&result.Run{}, nil)), "0 of 0")
}

func TestCharts(t *testing.T) {
	t.Parallel()
	var files []string
	for _, c := range chartsOf(measured()) {
		files = append(files, c.file)
		require.Contains(t, c.Note, "go1.26, linux/amd64")
		require.NotEmpty(t, c.groups)
		if c.file == "header.svg" {
			require.Len(t, c.groups, 2)
			bar := c.groups[0].Bars[0]
			require.True(t, bar.Ours)
			require.Equal(t, []float64{110, 105, 115}, []float64{bar.Value, bar.Lo, bar.Hi})
			require.Len(t, c.groups[0].Bars, 2, "without what is missing")
		}
		if c.file == "gc.svg" {
			require.Len(t, c.groups[0].Bars, 2, "without what took no time")
		}
		if c.file == "messages.svg" {
			require.Len(t, c.groups[0].Bars, 1, "without what took no time")
		}
		if c.file == "bodyid.svg" {
			require.Equal(t, 3.0, c.groups[0].Bars[0].Value)
		}
	}
	require.Equal(t, []string{"header.svg", "bodyid.svg", "messages.svg", "heap.svg", "gc.svg"}, files)
	require.Empty(t, chartsOf(&result.Run{}))
}

func TestBetween(t *testing.T) {
	t.Parallel()
	out, err := between([]byte("a\n"+begin+"old\n"+end+"b\n"), []byte("new\n"))
	require.NoError(t, err)
	require.Equal(t, "a\n"+begin+"new\n"+end+"b\n", string(out))
	again, err := between(out, []byte("new\n"))
	require.NoError(t, err)
	require.Equal(t, out, again)
	for _, page := range []string{"", begin, end + begin, "a\n"} {
		_, err := between([]byte(page), nil)
		require.Error(t, err)
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	readme, charts := filepath.Join(dir, "README.md"), filepath.Join(dir, "charts")
	require.NoError(t, os.WriteFile(readme, []byte("top\n"+begin+end+"bottom\n"), 0o644))
	var in bytes.Buffer
	require.NoError(t, measured().Write(&in))
	args := []string{"-readme", readme, "-charts", charts}
	var out bytes.Buffer
	require.NoError(t, run(args, bytes.NewReader(in.Bytes()), &out))
	require.Empty(t, out.String())
	page, err := os.ReadFile(readme)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(string(page), "top\n"+begin) && strings.HasSuffix(string(page), end+"bottom\n"))
	require.Contains(t, string(page), "(bench/charts/gc.svg)")
	for _, name := range []string{"header.svg", "bodyid.svg", "messages.svg", "heap.svg", "gc.svg"} {
		svg, err := os.ReadFile(filepath.Join(charts, name))
		require.NoError(t, err)
		require.Contains(t, string(svg), "<svg")
	}

	require.NoError(t, run([]string{"-charts", charts}, bytes.NewReader(in.Bytes()), &out))
	require.Contains(t, string(page), out.String(), "the same on standard output")

	// Whatever is wrong, nothing is written.
	charts = filepath.Join(dir, "more")
	refused := func(want string, stdin string, args ...string) {
		t.Helper()
		out.Reset()
		require.ErrorContains(t, run(append([]string{"-charts", charts}, args...), strings.NewReader(stdin), &out), want)
		require.Empty(t, out.String())
		require.NoDirExists(t, charts)
	}
	refused("speed -json", "nonsense", "-readme", readme)
	refused("speed -json", "{}", "-readme", readme)
	refused("unexpected EOF", in.String()[:in.Len()/2], "-readme", readme)
	refused("unknown field", strings.Replace(in.String(), `"samples"`, `"times"`, 1), "-readme", readme)
	refused("has no figure", strings.Replace(in.String(), `"missing": "why"`, `"missing": ""`, 1), "-readme", readme)
	refused("none", in.String(), "-readme", filepath.Join(dir, "none"))
	refused("< result.json", in.String(), "result.json")
	again, err := os.ReadFile(readme)
	require.NoError(t, err)
	require.Equal(t, page, again)
	require.NoError(t, os.WriteFile(readme, []byte("no lines\n"), 0o644))
	refused("bench:begin", in.String(), "-readme", readme)
}
