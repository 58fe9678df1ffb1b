package main

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/balance"
	"github.com/go-affinity/affinity/bench/internal/trace"
	"github.com/go-affinity/affinity/extract"
)

// at makes a driver with four upstreams for hand-made requests, that come in at
// the times they have.
func at(t *testing.T, requests ...trace.Request) *driver {
	t.Helper()
	tr := &trace.Trace{Block: 64, Absolute: true, Requests: requests}
	w := &workload{trace: tr, trie: tr.Trie(scorerCap), spread: time.Hour}
	return newDriver(w, tr.Arrivals(1, 0), calm(4))
}

// script is a router that goes by a list: for each request the upstreams to
// choose, in order. It notes what it saw.
type script struct {
	t     *testing.T
	now   time.Duration // until when the driver has slept
	d     *driver
	plan  map[int][]int
	calls []call
	ends  []ending
}

type call struct {
	request  int
	at       time.Duration
	usable   int
	inflight int // in all
}

type ending struct {
	request int
	ended
}

func (s *script) route(_ context.Context, i int, now time.Duration, usable []int) (int, func(ended), error) {
	sum := 0
	for _, n := range s.d.inflight {
		sum += n
	}
	require.Equal(s.t, s.now, now)
	s.calls = append(s.calls, call{i, now, len(usable), sum})
	u := s.plan[i][0]
	if len(s.plan[i]) > 1 {
		s.plan[i] = s.plan[i][1:]
	}
	return u, func(e ended) { s.ends = append(s.ends, ending{i, e}) }, nil
}

// play runs a driver by a script.
func play(t *testing.T, d *driver, plan map[int][]int) (*script, error) {
	t.Helper()
	s := &script{t: t, d: d, plan: plan}
	d.router = s
	return s, d.run(t.Context(), func(until time.Duration) {
		require.GreaterOrEqual(t, until, s.now, "time does not go back")
		s.now = until
	})
}

func TestDriver(t *testing.T) {
	d := at(t,
		trace.Request{Session: 0, Time: 0, Prompt: 6400, New: 100, Output: 7, Took: 10 * time.Second},
		trace.Request{Session: 0, Time: 10 * time.Second, Prompt: 6500, Attach: 100, New: 1, Output: 8, Took: time.Second},
		trace.Request{Session: 0, Time: 10500 * time.Millisecond, Prompt: 6600, Attach: 101, New: 2, Output: 9, Took: time.Second},
	)
	s, err := play(t, d, map[int][]int{0: {2}, 1: {2}, 2: {3}})
	require.NoError(t, err)
	require.Equal(t, []call{
		{0, 0, 4, 0},
		{1, 10 * time.Second, 4, 0}, // what ends at the same time has ended
		{2, 10500 * time.Millisecond, 4, 1},
	}, s.calls)
	require.Equal(t, []ending{
		{0, ended{usage: affinity.Usage{Uncached: 6400, Output: 7}}},
		{1, ended{usage: affinity.Usage{Uncached: 100, Cached: 6400, Output: 8}}},
		{2, ended{usage: affinity.Usage{Uncached: 6600, Output: 9}}},
	}, s.ends)
	require.Equal(t, 1, d.meter.moves)
	require.Equal(t, []load{{}, {}, {2, 6500, 6500 + 640 + 5*15}, {1, 6600, 6600 + 5*9}}, d.meter.total)
	require.Equal(t, []int{0, 0, 0, 0}, d.inflight)
}

// TestSameTime checks that requests that come at the same time are served in their order.
func TestSameTime(t *testing.T) {
	var requests []trace.Request
	plan := map[int][]int{}
	for i := range 8 {
		requests = append(requests, trace.Request{Session: i, Prompt: 64, New: 1, Took: time.Second})
		plan[i] = []int{0}
	}
	s, err := play(t, at(t, requests...), plan)
	require.NoError(t, err)
	for i, c := range s.calls {
		require.Equal(t, i, c.request)
	}
}

// TestCauses loses tokens in each of the three ways.
func TestCauses(t *testing.T) {
	turn := func(session int, at time.Duration, attach, depth int, blocks int) trace.Request {
		return trace.Request{Session: session, Time: at, Attach: attach, New: blocks, Prompt: 64 * (depth + blocks), Took: time.Second}
	}
	const minute = time.Minute
	requests := []trace.Request{
		turn(0, 0, 0, 0, 40),           // 2,560 tokens, on upstream 0
		turn(0, minute, 40, 40, 10),    // the session goes to 1: moved
		turn(1, 2*minute, 40, 40, 20),  // another one shares 2,560 of it, on 2: never there
		turn(1, 4*minute, 70, 60, 5),   // stays on 2
		turn(1, 6*minute, 75, 65, 5),   // stays
		turn(2, 8*minute, 40, 40, 30),  // a third one on 0, which had it until minute 5: expired there
		turn(2, 14*minute, 0, 0, 30),   // something else: not to blame on anybody
		turn(3, 15*minute, 140, 30, 1), // goes on from that, where it is
		turn(0, 8*minute, 50, 50, 0),   // the first one on 3: others kept it alive
	}
	plan := map[int][]int{0: {0}, 1: {1}, 2: {2}, 3: {2}, 4: {2}, 5: {0}, 6: {3}, 7: {3}, 8: {3}}
	d := at(t, requests...)
	_, err := play(t, d, plan)
	require.NoError(t, err)
	require.Equal(t, []int64{2560, 2 * 2560, 2560}, []int64{d.meter.moved, d.meter.neverHere, d.meter.expiredHere})
	require.Equal(t, d.meter.oracle-d.meter.cached, int64(4*2560))
	require.Equal(t, 2+1, d.meter.moves) // sessions 0, twice, and 2
}

func TestFailures(t *testing.T) {
	turn := func(at time.Duration) trace.Request {
		return trace.Request{Time: at, Prompt: 6400, Attach: 0, New: 100, Took: time.Second}
	}
	d := at(t, turn(0), turn(40*time.Second), turn(80*time.Second))
	d.cond.outage = schedule{time.Minute, 8 * time.Minute} // upstream 0 from 1 m on
	d.cond.cooldown = 20 * time.Second
	s, err := play(t, d, map[int][]int{0: {0}, 1: {0}, 2: {0, 1}})
	require.NoError(t, err)
	require.Equal(t, []call{{0, 0, 4, 0}, {1, 40 * time.Second, 4, 0}, {2, 80 * time.Second, 4, 0}, {2, 80 * time.Second, 3, 0}}, s.calls)
	require.Equal(t, []ending{{0, ended{usage: affinity.Usage{Uncached: 6400}}}, {1, ended{usage: affinity.Usage{Uncached: 6400}}}, {2, ended{failed: true}}, {2, ended{usage: affinity.Usage{Uncached: 6400}}}}, s.ends)
	require.Equal(t, 1, d.meter.failed)
	require.Equal(t, 100*time.Second, d.excluded[0])
}

// TestRateLimit checks the limit by hand: 600 tokens a minute are 10 a second.
func TestRateLimit(t *testing.T) {
	turn := func(at time.Duration, attach, blocks int) trace.Request {
		return trace.Request{Time: at, Prompt: 64 * (attach + blocks), Attach: attach, New: blocks, Took: time.Second}
	}
	d := at(t, turn(0, 0, 20), turn(2*time.Second, 20, 0), turn(110*time.Second, 20, 0), turn(200*time.Second, 20, 0))
	d.cond.rate = 600
	for u := range d.budget {
		d.budget[u] = 600
	}
	// 1,280 tokens leave -680, and nothing is left for 68 s.
	s, err := play(t, d, map[int][]int{0: {0}, 1: {0, 1}, 2: {0}, 3: {0}})
	require.NoError(t, err)
	require.Len(t, s.calls, 5)
	require.Equal(t, 1, d.meter.refused)
	require.Equal(t, 2*time.Second+67*time.Second, d.excluded[0], "whole seconds, until there is a token")
	require.InDelta(t, 600, d.budget[0], 1, "what is cached does not count, and no more is saved up than for a minute")
}

// TestPatience has nobody to serve for longer than a request waits.
func TestPatience(t *testing.T) {
	d := at(t, trace.Request{Time: time.Second, Prompt: 640, New: 10, Took: time.Second}, trace.Request{Time: 100 * time.Second, Prompt: 640, Attach: 10, Took: time.Second})
	for u := range d.excluded {
		d.excluded[u] = 200 * time.Second
	}
	s, err := play(t, d, map[int][]int{0: {1}, 1: {1}})
	require.NoError(t, err)
	require.Equal(t, []call{{1, 200 * time.Second, 4, 0}}, s.calls)
	require.Equal(t, []int{2, 1, 1}, []int{d.meter.waited, d.meter.lost, d.meter.requests})
}

func TestChoiceIsChecked(t *testing.T) {
	for _, u := range []int{-1, 1, 4} {
		d := at(t, trace.Request{Prompt: 640, New: 10})
		d.excluded[1] = time.Hour
		_, err := play(t, d, map[int][]int{0: {u}})
		require.ErrorIs(t, err, errChoice)
	}
}

// recorder is a balancer that notes what it is told.
type recorder struct {
	affinity.Balancer[int]
	placed   []string // session ids
	parents  []string
	sizes    []int
	outcomes []affinity.Outcome
}

func (r *recorder) Place(ctx context.Context, req *extract.Request, usable []int) (int, affinity.Ticket, error) {
	r.placed = append(r.placed, req.Header.Get("X-Session-Id"))
	r.parents = append(r.parents, req.Header.Get("X-Parent-Session-Id"))
	r.sizes = append(r.sizes, len(req.Body))
	return r.Balancer.Place(ctx, req, usable)
}

func (r *recorder) Settle(id string, t affinity.Ticket, o affinity.Outcome) {
	r.outcomes = append(r.outcomes, o)
	r.Balancer.Settle(id, t, o)
}

// TestLibrary checks what the library is told.
func TestLibrary(t *testing.T) {
	requests := []trace.Request{
		{Session: 0, Parent: -1, Prompt: 6400, New: 100, Output: 7, Took: time.Second},
		{Session: 0, Parent: -1, Time: time.Minute, Prompt: 7000, Attach: 100, New: 9, Output: 8, Took: time.Second},
		{Session: 1, Parent: 0, Time: 2 * time.Minute, Prompt: 640, Attach: 10, Output: 9, Took: time.Second},
	}
	for _, test := range []struct {
		name    string
		make    func(func(*library) affinity.Picker[int]) func(*driver) (router, error)
		reasons map[affinity.Reason]uint64
		placed  []string
		outage  schedule
	}{
		{"sessions", sessions, map[affinity.Reason]uint64{affinity.ReasonNew: 1, affinity.ReasonBound: 1, affinity.ReasonInherited: 1}, []string{"session-0"}, schedule{}},
		{"stateless", stateless, map[affinity.Reason]uint64{affinity.ReasonNoSession: 3}, []string{"session-0", "session-0", "session-1"}, schedule{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			rec := &recorder{}
			d := at(t, requests...)
			synctest.Test(t, func(t *testing.T) {
				rec.Balancer = balance.LeastCost(balance.CostConfig[int]{ID: nameOf})
				var err error
				d.router, err = test.make(func(*library) affinity.Picker[int] { return rec })(d)
				require.NoError(t, err)
				start := time.Now()
				require.NoError(t, d.run(t.Context(), func(until time.Duration) { <-time.After(until - time.Since(start)) }))
			})
			require.Subset(t, d.router.(*library).selector.Stats().Selected, test.reasons)
			require.Equal(t, test.placed, rec.placed)
			require.Equal(t, 4*6400, rec.sizes[0])
			require.Empty(t, rec.parents[0])
			if len(rec.parents) == 3 {
				require.Equal(t, "session-0", rec.parents[2])
			}
			require.Len(t, rec.outcomes, 3)
			require.Equal(t, affinity.Outcome{Result: affinity.Served, Usage: affinity.Usage{Uncached: 6400, Output: 7}}, rec.outcomes[0])
			if test.name == "sessions" {
				require.Equal(t, affinity.Outcome{Result: affinity.Served, Usage: affinity.Usage{Uncached: 600, Cached: 6400, Output: 8}}, rec.outcomes[1])
			}
		})
	}
}

// TestLibraryHearsOfFailures has the first attempt fail.
func TestLibraryHearsOfFailures(t *testing.T) {
	rec := &recorder{}
	d := at(t, trace.Request{Time: time.Minute, Parent: -1, Prompt: 6400, New: 100, Output: 7, Took: time.Second})
	d.cond.outage = schedule{8*time.Minute - 1, 8 * time.Minute} // whoever is out stays out
	synctest.Test(t, func(t *testing.T) {
		rec.Balancer = balance.LeastCost(balance.CostConfig[int]{ID: nameOf})
		var err error
		d.router, err = sessions(func(*library) affinity.Picker[int] { return rec })(d)
		require.NoError(t, err)
		d.excluded[1], d.excluded[2], d.excluded[3] = time.Minute+1, time.Minute+1, time.Minute+1
		d.cond.cooldown = time.Second
		start := time.Now()
		require.NoError(t, d.run(t.Context(), func(until time.Duration) { <-time.After(until - time.Since(start)) }))
	})
	require.Equal(t, 1, d.meter.failed)
	require.Len(t, rec.outcomes, 2)
	require.Equal(t, affinity.TransientFailure, rec.outcomes[0].Result)
	require.Equal(t, affinity.Served, rec.outcomes[1].Result)
}

func TestSummaries(t *testing.T) {
	var results []result
	for i, v := range []float64{1, 2, 3, 6} {
		results = append(results, result{trace: "x", policy: policies[0], seed: uint64(i), figures: figures{Cost: v}})
	}
	results = append(results, result{trace: "y", policy: policies[0]}, result{trace: "x", policy: policies[1]})
	all := summarize(results, "x")
	require.Len(t, all, 2)
	require.InDelta(t, 3, all[0].Mean[Cost], 1e-9)
	require.InDelta(t, 2.160, all[0].SD[Cost], 1e-3, "of a sample")
	require.Zero(t, all[1].SD[Cost])
}
