package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-affinity/affinity/bench/internal/trace"
)

// A result is one run: a policy over a trace with one arrival seed.
type result struct {
	trace   string
	policy  policy
	seed    uint64
	figures figures
}

// seeds are those of the times at which sessions start, one for each run.
type seeds struct {
	first uint64
	count int
}

// simulate runs all policies over all workloads, once for each seed, as sub-tests of t:
// virtual time is to be had in tests only. The results are in the order of workloads,
// seeds and policies.
func simulate(t *testing.T, workloads []*workload, policies []policy, cond conditions, seeds seeds, progress io.Writer) ([]result, error) {
	type job struct {
		w    *workload
		p    policy
		seed uint64
	}
	var jobs []job
	for _, w := range workloads {
		for seed := range seeds.count {
			for _, p := range policies {
				jobs = append(jobs, job{w, p, seeds.first + uint64(seed)})
			}
		}
	}
	results := make([]result, len(jobs))
	errs := make([]error, len(jobs))
	var mu sync.Mutex
	done, began, told := 0, time.Now(), time.Time{}
	inBubbles(t, len(jobs), func(i int, bubble func(func())) {
		j := jobs[i]
		arrivals := j.w.trace.Arrivals(j.seed, j.w.spread)
		m, err := j.w.run(j.p, j.seed, arrivals, cond, bubble)
		if err != nil {
			errs[i] = fmt.Errorf("%s on %s: %w", j.p.key, j.w.trace.Name, err)
			return
		}
		results[i] = result{j.w.trace.Name, j.p, j.seed, m.figures()}
		mu.Lock()
		done++
		if done == len(jobs) || time.Since(told) > 200*time.Millisecond {
			told = time.Now()
			fmt.Fprintf(progress, "\r%d of %d runs, %s ", done, len(jobs), time.Since(began).Round(time.Second))
		}
		mu.Unlock()
	})
	fmt.Fprintln(progress)
	if err := cmp.Or(errs...); err != nil {
		return nil, err
	}
	return results, nil
}

// run drives policy p over w. Policies of ours run in a bubble, where time is
// the driver's; the others are told the time.
func (w *workload) run(p policy, seed uint64, arrivals []trace.Arrival, cond conditions, bubble func(func())) (*meter, error) {
	d := newDriver(w, arrivals, cond)
	if p.peer != nil {
		d.router = p.peer(d, rand.New(rand.NewPCG(seed, 0xfee1)))
		return d.meter, d.run(context.Background(), func(time.Duration) {})
	}
	var err error
	bubble(func() {
		start := time.Now()
		if d.router, err = p.ours(d); err == nil {
			err = d.run(context.Background(), func(until time.Duration) { time.Sleep(until - time.Since(start)) })
		}
	})
	return d.meter, err
}

// inBubbles calls f with 0 to n-1, one for each processor at a time, and returns when
// all have returned. f is also given a function that runs another one in virtual time:
// there, time.Now and time.Sleep are those of a testing/synctest bubble.
func inBubbles(t *testing.T, n int, f func(i int, bubble func(func()))) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := int(next.Add(1) - 1); i < n; i = int(next.Add(1) - 1) {
				t.Run(strconv.Itoa(i), func(t *testing.T) {
					f(i, func(body func()) { synctest.Test(t, func(*testing.T) { body() }) })
				})
			}
		})
	}
	wg.Wait()
}
