package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/bench/internal/trace"
	"github.com/go-affinity/affinity/bench/internal/upstream"
	"github.com/go-affinity/affinity/extract"
)

// few returns the first requests of a generated trace, squeezed so that they
// overlap.
func few(t *testing.T, name string, requests int) *workload {
	t.Helper()
	tr, err := trace.Generate(name, 1)
	require.NoError(t, err)
	tr.Requests = tr.Requests[:requests]
	return &workload{trace: tr, trie: tr.Trie(scorerCap), spread: 40 * time.Minute}
}

func calm(n int) conditions {
	return conditions{
		upstreams: upstream.Config{N: n, TTL: 5 * time.Minute, MinHit: 1024, Delay: 500 * time.Millisecond, Rate: 20000},
		cooldown:  30 * time.Second,
	}
}

// drive runs one policy.
func drive(t *testing.T, w *workload, p policy, cond conditions) *meter {
	t.Helper()
	m, err := w.run(p, 1, w.trace.Arrivals(1, w.spread), cond, func(body func()) {
		synctest.Test(t, func(*testing.T) { body() })
	})
	require.NoError(t, err)
	return m
}

// requireSums fails unless what a run counted adds up.
func requireSums(t *testing.T, w *workload, m *meter) {
	t.Helper()
	arrivals := w.trace.Arrivals(1, w.spread)
	prompt, output := int64(0), 0
	for _, a := range arrivals {
		prompt += int64(w.trace.Requests[a.Request].Prompt)
		output += w.trace.Requests[a.Request].Output
	}
	require.Equal(t, len(arrivals), m.requests+m.lost, "requests in, requests out")
	var total, windows load
	add := func(sum *load, all []load) {
		for _, l := range all {
			sum.requests += l.requests
			sum.uncached += l.uncached
			sum.cost += l.cost
		}
	}
	add(&total, m.total)
	for _, w := range m.windows {
		add(&windows, w)
	}
	require.InDelta(t, float64(m.requests), total.requests, 0)
	require.InDelta(t, float64(m.prompt-m.cached), total.uncached, 0)
	if m.lost == 0 {
		require.Equal(t, prompt, m.prompt)
		require.InEpsilon(t, affinity.Usage{Uncached: int(m.prompt - m.cached), Cached: int(m.cached), Output: output}.Cost(), total.cost, 1e-9)
	}
	require.InEpsilon(t, total.cost, windows.cost, 1e-9)
	require.InDelta(t, total.requests, windows.requests, 0)
}

// TestOneUpstream checks that every policy is as good as the oracle if there is
// nothing to choose.
func TestOneUpstream(t *testing.T) {
	for _, name := range trace.Names() {
		w := few(t, name, 800)
		for _, p := range policies {
			m := drive(t, w, p, calm(1))
			requireSums(t, w, m)
			f := m.figures()
			require.Equal(t, m.oracle, m.cached, "%s on %s", p.key, name)
			require.Equal(t, []float64{1, 1, 1}, []float64{f[Uncached], f[Requests], f[Cost]})
			require.Zero(t, m.moved+m.expiredHere+m.neverHere)
			require.Zero(t, m.moves)
		}
	}
}

// TestConservation runs every policy through good and bad times.
func TestConservation(t *testing.T) {
	bad := calm(5)
	bad.outage = schedule{4 * time.Minute, 15 * time.Minute}
	bad.rate = 60000
	flapping := calm(5)
	flapping.outage = schedule{20 * time.Second, 3 * time.Minute}
	hopeless := calm(2)
	hopeless.rate = 20000
	full := calm(5)
	full.upstreams.Capacity = 400000
	for name, cond := range map[string]conditions{"calm": calm(5), "bad": bad, "flapping": flapping, "full": full, "hopeless": hopeless} {
		w := few(t, "cc6", 1500)
		for _, p := range policies {
			m := drive(t, w, p, cond)
			requireSums(t, w, m)
			if name == "calm" {
				require.Zero(t, m.failed+m.refused+m.waited)
				require.LessOrEqual(t, m.cached, m.oracle, "%s is better than the oracle", p.key)
				require.Equal(t, m.oracle-m.cached, m.moved+m.expiredHere+m.neverHere, "every lost token has a cause with %s", p.key)
			}
			switch name {
			case "bad":
				require.Positive(t, m.failed)
				require.Positive(t, m.refused)
			case "flapping":
				require.Positive(t, m.failed)
			case "hopeless":
				require.Positive(t, m.lost)
				require.Positive(t, m.waited)
			case "calm", "full":
				require.Zero(t, m.lost)
			}
		}
	}
}

// TestSeeded checks that a peer does the same again.
func TestSeeded(t *testing.T) {
	w := few(t, "tau_airline", 400)
	for _, p := range policies {
		if p.peer != nil {
			require.Equal(t, drive(t, w, p, calm(4)), drive(t, w, p, calm(4)), p.key)
		}
	}
}

func byKey(t *testing.T, key string) policy {
	t.Helper()
	chosen, err := chosen(key)
	require.NoError(t, err)
	require.Len(t, chosen, 1)
	return chosen[0]
}

func TestSessionsStay(t *testing.T) {
	w := few(t, "mooncake_conv", 1200)
	w.trace.Absolute = false
	m := drive(t, w, byKey(t, "rendezvous"), calm(4))
	require.Zero(t, m.moves)
	require.Zero(t, m.moved)

	// A session that was not idle for long stays.
	m = drive(t, w, byKey(t, "sessions-rr"), calm(4))
	require.Zero(t, m.moved)
}

func TestPeers(t *testing.T) {
	all := []int{0, 1, 2, 3}
	rng := func() *rand.Rand { return rand.New(rand.NewPCG(1, 1)) }
	route := func(r router, i int, usable ...int) int {
		u, done, err := r.route(context.Background(), i, 0, usable)
		require.NoError(t, err)
		require.Nil(t, done)
		return u
	}
	// Two requests of one conversation, one that shares 60 % with it, a stranger.
	turn := trace.Request{Session: 0, Prompt: 6400, New: 100}
	next := trace.Request{Session: 0, Prompt: 7680, Attach: 100, New: 20}
	fork := trace.Request{Session: 1, Prompt: 6400, Attach: 60, New: 40}
	stranger := trace.Request{Session: 2, Prompt: 6400, New: 100}

	t.Run("round robin", func(t *testing.T) {
		r := roundRobin(at(t, turn), rng())
		var got []int
		for range 6 {
			got = append(got, route(r, 0, all...))
		}
		require.Equal(t, []int{0, 1, 2, 3, 0, 1}, got)
		require.Contains(t, []int{1, 3}, route(r, 0, 1, 3))
	})
	t.Run("random", func(t *testing.T) {
		r := random(at(t, turn), rng())
		seen := map[int]bool{}
		for range 100 {
			seen[route(r, 0, all...)] = true
		}
		require.Len(t, seen, 4)
	})
	t.Run("least in-flight", func(t *testing.T) {
		d := at(t, turn)
		r := leastInFlight(d, rng())
		d.inflight = []int{2, 1, 3, 1}
		seen := map[int]bool{}
		for range 50 {
			seen[route(r, 0, all...)] = true
		}
		require.Equal(t, map[int]bool{1: true, 3: true}, seen)
	})
	t.Run("rendezvous", func(t *testing.T) {
		r := rendezvous(at(t, turn, next, fork, stranger), rng())
		home := route(r, 0, all...)
		require.Equal(t, home, route(r, 1, all...))
		var others []int
		for _, u := range all {
			if u != home {
				others = append(others, u)
			}
		}
		require.NotEqual(t, home, route(r, 1, others...))
		// Who leaves moves nobody else.
		require.Equal(t, home, route(r, 1, home, others[0]))
	})
	t.Run("bounded loads", func(t *testing.T) {
		d := at(t, turn, next)
		r := boundedLoads(d, rng())
		home := route(r, 0, all...)
		require.Equal(t, home, route(r, 1, all...))
		d.inflight[home] = 2 // 3 with this one, where ceil(1.25 x 3/4) = 1
		require.NotEqual(t, home, route(r, 1, all...))
		for u := range d.inflight {
			d.inflight[u] = 2 // 3, where ceil(1.25 x 9/4) = 3
		}
		require.Equal(t, home, route(r, 1, all...))
		d.inflight[home], d.inflight[(home+1)%4] = 4, 3 // 5, where ceil(1.25 x 12/4) = 4
		require.NotEqual(t, home, route(r, 1, all...))
	})
	t.Run("SGLang", func(t *testing.T) {
		d := at(t, turn, next, fork, stranger)
		r := sglang(0.5, false)(d, rng())
		d.inflight = []int{1, 1, 0, 1}
		require.Equal(t, 2, route(r, 0, all...), "new: to the idlest")
		d.inflight = []int{0, 1, 1, 1}
		require.Equal(t, 2, route(r, 1, all...), "83 % known")
		require.Equal(t, 2, route(r, 2, all...), "60 % known")
		require.Equal(t, 0, route(r, 3, all...), "unknown")
		// 64 more, or half as much again, is not too much.
		for _, calm := range [][]int{{0, 1, 64, 1}, {140, 141, 210, 141}} {
			d.inflight = calm
			require.Equal(t, 2, route(r, 1, all...), "not overloaded: %v", calm)
		}
		d.inflight = []int{0, 1, 70, 1}
		require.Equal(t, 0, route(r, 1, all...), "overloaded")
		require.Equal(t, 0, route(r, 1, all...), "now known there")

		r = sglang(0.7, false)(d, rng())
		d.inflight = []int{0, 0, 0, 0}
		require.Equal(t, 0, route(r, 0, all...))
		d.inflight = []int{1, 0, 0, 0}
		require.Equal(t, 1, route(r, 2, all...), "60 % are not enough")
		require.Equal(t, 1, route(r, 1, 1, 2), "the one that is known is out: the first of the others")
	})
	t.Run("prefix scorer", func(t *testing.T) {
		d := at(t, turn, next, fork, stranger,
			trace.Request{Session: 3, Prompt: 64 * 70, Attach: 64, New: 6})
		r := prefixScorer(1, 0)(d, rng())
		home := route(r, 0, all...)
		d.inflight[home] = 50
		require.Equal(t, home, route(r, 1, all...), "load is not looked at")
		require.Equal(t, home, route(r, 2, all...), "all that is known of it is there")
		// Who has only the first 4,096 tokens of a prompt seems to have all.
		other := (home + 1) % 4
		require.Equal(t, other, route(r, 4, other))
		seen := map[int]bool{}
		for range 40 {
			seen[route(r, 1, all...)] = true
		}
		require.Equal(t, map[int]bool{home: true, other: true}, seen)

		r = prefixScorer(3, 2)(d, rng())
		d.inflight = []int{0, 0, 0, 0}
		home = route(r, 0, all...)
		d.inflight[home] = 1
		require.Equal(t, home, route(r, 1, all...), "3 x 1 against 2 x 1")
		require.NotEqual(t, home, route(r, 3, all...))
	})
	t.Run("LMetric", func(t *testing.T) {
		d := at(t, turn, next, stranger)
		r := lmetric(d, rng())
		require.Equal(t, 0, route(r, 0, all...))
		d.inflight[0] = 6
		require.Equal(t, 1, route(r, 1, all...), "1,280 x 7 > 7,680 x 1")
		r = lmetric(d, rng())
		require.Equal(t, 0, route(r, 0, 0))
		d.inflight[0] = 4
		require.Equal(t, 0, route(r, 1, all...), "1,280 x 5 < 7,680 x 1")
		require.Equal(t, 1, route(r, 2, all...))
	})
}

func TestSchedule(t *testing.T) {
	s, err := parseSchedule("10m/2h")
	require.NoError(t, err)
	require.Equal(t, schedule{10 * time.Minute, 2 * time.Hour}, s)
	require.Equal(t, "10m/2h", s.String())
	const n = 16
	down := make([]time.Duration, n)
	for at := 2 * time.Hour; at < 26*time.Hour; at += time.Minute {
		out := 0
		for u := range n {
			if s.down(u, n, at) {
				down[u] += time.Minute
				out++
			}
		}
		require.LessOrEqual(t, out, 2, "they are out one after the other")
	}
	require.Equal(t, slices.Repeat([]time.Duration{2 * time.Hour}, n), down)
	require.False(t, schedule{}.down(0, 1, time.Hour))
	require.False(t, s.down(0, 1, 0), "the first outage of a single one begins after half a period")
	require.True(t, s.down(0, 1, time.Hour))
	require.False(t, s.down(8, n, 0), "nobody is out from the start")
	require.Empty(t, schedule{}.String())

	for _, bad := range []string{"10m", "10m/", "x/y", "2h/10m", "-1m/2h", "1h/1h"} {
		_, err := parseSchedule(bad)
		require.Error(t, err, bad)
	}
}

func TestImbalance(t *testing.T) {
	m := newMeter(4)
	for i := range 12 {
		cached := 400 * (i % 2)
		m.count(i%3, time.Duration(i)*time.Minute, affinity.Usage{Uncached: 1000 - cached, Cached: cached, Output: 10}, 400)
	}
	f := m.figures()
	require.InDelta(t, 4.0/3, f[Requests], 1e-9)
	require.InDelta(t, 0.2, f[Hit], 1e-9)
	require.InDelta(t, 0.4, f[OracleHit], 1e-9)
	require.InDelta(t, 0.8/0.6, f[Uncached], 1e-9)
	require.Len(t, m.windows, 3)

	m.lost, m.waited = 4, 8
	require.Equal(t, []float64{8.0 / 16, 4.0 / 16}, []float64{m.figures()[Waited], m.figures()[Lost]}, "of all that came in")

	// The third window has less than half of the mean, and is not looked at; the fourth
	// has more.
	m = newMeter(2)
	for i, n := range []int{10, 12, 3, 5} {
		for k := range n {
			m.count(k%2*(i%2), time.Duration(i)*window, affinity.Usage{Uncached: 100}, 0)
		}
	}
	median, worst := m.windowed(requestsOf)
	require.InDelta(t, 6.0/5, median, 1e-9)
	require.InDelta(t, 2, worst, 1e-9)
	f = m.figures()
	for _, of := range []int{MedianTokens, MedianCost} { // all requests are alike
		require.InDelta(t, median, f[of], 1e-9)
	}
	for _, of := range []int{WorstTokens, WorstCost} {
		require.InDelta(t, worst, f[of], 1e-9)
	}
	median, worst = newMeter(2).windowed(costOf)
	require.Equal(t, []float64{0, 0}, []float64{median, worst}, "nothing was served")
}

// TestRun runs the command as a whole.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	var out bytes.Buffer
	args := []string{
		"-traces", "none", "-trace", "tau_airline", "-policies", "rr,llmd,sessions-rr", "-seeds", "2", "-n", "4",
		"-charts", filepath.Join(dir, "charts"), "-targets",
	}
	require.NoError(t, run(t, args, &out, io.Discard))
	for _, want := range []string{"tau_airline (generated): N = 4, cache TTL 5m, 2 seeds", "round robin", "* sessions + RoundRobin", "llm-d prefix scorer      93.3%  100.0%     1.000 ±0.000", "4.000 ±0.000", "reached"} {
		require.Contains(t, out.String(), want)
	}
	b, err := os.ReadFile(filepath.Join(dir, "charts", "tradeoff-tau_airline-generated.svg"))
	require.NoError(t, err)
	require.Contains(t, string(b), "sessions + RoundRobin")
}

// There are shapes wherever the others are read from, and they are dense enough for caches.
func TestShapes(t *testing.T) {
	for _, name := range trace.Shapes() {
		w, err := find(name, t.TempDir())
		require.NoError(t, err)
		require.True(t, w.made)
		require.Less(t, w.spread, 8*time.Hour)
	}
}

// What cannot be simulated is refused before anything is, by an error that names
// the flag.
func TestRunRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file") // where nothing else can be
	require.NoError(t, os.WriteFile(file, nil, 0o666))
	const nothing = "-traces none -trace tau_airline -policies rr -seeds 1"
	for _, test := range []struct {
		args string
		want string
	}{
		{"-policies nobody", `no policy "nobody"`},
		{"-traces none -trace nobody", `no generator for "nobody"`},
		{"-traces " + t.TempDir() + " -trace cc6", "-traces none"},
		{"-n 0", "-n 0"},
		{"-n 1000", "-n 1000"},
		{"-seeds 0", "-seeds 0"},
		{"-ttl 0s", "-ttl 0s"},
		{"-capacity -1", "-capacity"},
		{"-rate -1", "-rate"},
		{"-failover never", `no failover policy "never"`},
		{"-outage always", "10m/2h"},
		{nothing + " -charts " + filepath.Join(file, "charts"), "-charts"},
		{"-nothing", "-nothing"},
		{"-n 4 more", `unexpected argument "more"`},
	} {
		var out bytes.Buffer
		require.ErrorContains(t, run(t, strings.Fields(test.args), &out, io.Discard), test.want, test.args)
		require.Empty(t, out.String(), test.args)
	}
}

func TestTargets(t *testing.T) {
	rep := func(trace, policy string, f figures) report {
		return report{Traces: []traceReport{{Trace: trace, Policies: []summary{
			{Policy: policy, Name: policy, Ours: true, Mean: f},
			{Policy: "rr", Name: "round robin", Mean: figures{Uncached: 99, Cost: 99}},
		}}}}
	}
	good := figures{Uncached: 1.01, Cost: 1.02, Tokens: 1.02, Missed: 0.002}
	with := func(change func(f *figures)) figures {
		f := good
		change(&f)
		return f
	}
	for _, tt := range []struct {
		name          string
		trace, policy string
		calm, outages figures
		reached       bool
	}{
		{"all", "cc6", "prefix", good, good, true},
		{"with outages, less will do", "cc6", "prefix", good, with(func(f *figures) { f[Uncached] = 1.08 }), true},
		{"but not much less", "cc6", "prefix", good, with(func(f *figures) { f[Uncached] = 1.09 }), false},
		{"too much", "cc6", "prefix", with(func(f *figures) { f[Uncached] = 1.04 }), good, false},
		{"which will do for another policy", "cc6", "sessions-cost", with(func(f *figures) { f[Uncached] = 1.04 }), good, true},
		{"a policy without targets of its own", "cc6", "sessions-rr", with(func(f *figures) { f[Uncached], f[Cost] = 9, 1.9 }), good, true},
		{"that herds", "cc6", "sessions-rr", with(func(f *figures) { f[Cost] = 2.1 }), good, false},
		{"no figure", "cc6", "sessions-rr", with(func(f *figures) { f[Cost] = math.NaN() }), good, false},
		{"missed hits", "mooncake_conv", "prefix", with(func(f *figures) { f[Missed] = 0.004 }), good, false},
		{"few of them", "mooncake_conv", "prefix", with(func(f *figures) { f[Missed] = 0.0018 }), good, true},
	} {
		var out bytes.Buffer
		err := check(&out, rep(tt.trace, tt.policy, tt.calm), rep(tt.trace, tt.policy, tt.outages))
		require.Equal(t, tt.reached, err == nil, tt.name)
		require.Contains(t, out.String(), "\ntargets\n")
		missed := strings.Count(out.String(), "\nMISSED ")
		require.Equal(t, tt.reached, missed == 0, tt.name)
		if err != nil {
			require.ErrorContains(t, err, fmt.Sprint(missed, " targets missed"))
		}
	}
	var keys []string
	for _, p := range failing(policies) {
		keys = append(keys, p.key)
	}
	require.Equal(t, []string{"sessions-prefix", "prefix"}, keys, "those with targets for outages")
}

func TestBeaten(t *testing.T) {
	of := func(ours bool, uncached, cost float64) summary {
		return summary{Ours: ours, Mean: figures{Uncached: uncached, Cost: cost}, SD: figures{Uncached: 0.01, Cost: 0.02}}
	}
	s := of(true, 1.1, 1.2)
	for _, tt := range []struct {
		o    summary
		want bool
	}{
		{of(false, 1.08, 1.17), true}, {of(false, 1.095, 1.17), false}, {of(false, 1.08, 1.19), false},
		{of(false, 1, 9), false}, {of(false, 9, 1), false}, {of(true, 1, 1), false},
	} {
		require.Equal(t, tt.want, s.beaten([]summary{s, tt.o}), "%+v", tt.o.Mean)
	}
}

// TestBoundaries checks what stands in for messages.
func TestBoundaries(t *testing.T) {
	turns := []trace.Request{{Prompt: 64*40 + 5, New: 40}}
	node := 40
	for range 7 {
		turns = append(turns, trace.Request{Prompt: 64 * (node + 3), Attach: node, New: 3})
		node += 3
	}
	turns = append(turns, trace.Request{Session: 1, Prompt: 64 * 60, Attach: 36, New: 24}, trace.Request{Session: 2, Prompt: 30})
	d := at(t, turns...)
	l := newLibrary(d)
	hashes := map[int]map[int]uint64{}
	cuts := func(i int) (blocks []int) {
		l.current = i
		hashes[i] = map[int]uint64{}
		for _, b := range l.cuts(nil) {
			block := b.Bytes / bytesPerToken / 64
			blocks = append(blocks, block)
			hashes[i][block] = b.Hash
		}
		return blocks
	}
	require.Equal(t, []int{16, 32, 40}, cuts(0), "every 1,024 tokens, and the end")
	require.Equal(t, []int{16, 32, 40, 43}, cuts(1))
	require.Equal(t, []int{16, 32, 40, 48, 49, 52, 55, 58, 61}, cuts(7), "the first end, the last four and its own")
	require.Equal(t, []int{16, 32, 48, 60}, cuts(8))
	require.Empty(t, cuts(9))
	for block, hash := range hashes[0] {
		require.Equal(t, hash, hashes[7][block])
	}
	require.Equal(t, hashes[7][32], hashes[8][32])
	require.NotEqual(t, hashes[7][48], hashes[8][48])

	l.current = 0
	req := &extract.Request{}
	require.Nil(t, l.boundaries(req), "of another request")
}
