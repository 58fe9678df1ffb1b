package main

import (
	"fmt"
	"io"
	"slices"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/go-affinity/affinity/bench/internal/trace"
)

// A variation is a workload or conditions that no policy was tuned for.
type variation struct {
	name   string
	of     string // a trace, one of trace.Shapes, or "mix"
	spread time.Duration
	derive func(t *trace.Trace) *trace.Trace // nil leaves the trace as it is
	change func(c *conditions)               // nil leaves the conditions as they are
}

// upstreams changes how many there are.
func upstreams(n int) func(*conditions) {
	return func(c *conditions) { c.upstreams.N = n }
}

// ttl changes how long caches live.
func ttl(d time.Duration) func(*conditions) {
	return func(c *conditions) { c.upstreams.TTL = d }
}

// part derives the sessions of one in so many users, beginning with user from.
func part(of, from int) func(t *trace.Trace) *trace.Trace {
	return func(t *trace.Trace) *trace.Trace {
		users := t.Users()
		number := map[int]int{}
		for _, u := range users {
			if _, ok := number[u]; !ok {
				number[u] = len(number)
			}
		}
		return t.Keep(func(s int) bool { return users[s] >= 0 && number[users[s]]%of == from })
	}
}

// stretch derives sessions whose pauses are so many times as long.
func stretch(by float64) func(t *trace.Trace) *trace.Trace {
	return func(t *trace.Trace) *trace.Trace { return t.Stretch(by) }
}

// together derives sessions that start many at a time, once in every.
func together(every time.Duration) func(t *trace.Trace) *trace.Trace {
	return func(t *trace.Trace) *trace.Trace {
		b := *t
		b.Every = every
		return &b
	}
}

// others are all variations, in the order of the table.
var others = []variation{
	{name: "cc6 4 upstreams", of: "cc6", spread: 8 * time.Hour, change: upstreams(4)},
	{name: "cc6 8 upstreams", of: "cc6", spread: 8 * time.Hour, change: upstreams(8)},
	{name: "cc6 32 upstreams", of: "cc6", spread: 8 * time.Hour, change: upstreams(32)},
	{name: "cc6 TTL 1h", of: "cc6", spread: 8 * time.Hour, change: ttl(time.Hour)},
	{name: "cc6 small caches", of: "cc6", spread: 8 * time.Hour, change: func(c *conditions) { c.upstreams.TTL, c.upstreams.Capacity = time.Hour, 1_000_000 }},
	{name: "cc6 no least hit", of: "cc6", spread: 8 * time.Hour, change: func(c *conditions) { c.upstreams.MinHit = 0 }},
	{name: "cc6 twice the rate", of: "cc6", spread: 4 * time.Hour},
	{name: "cc6 half the rate", of: "cc6", spread: 16 * time.Hour},
	{name: "cc6 half the users", of: "cc6", spread: 8 * time.Hour, derive: part(2, 0)},
	{name: "cc6 the other half", of: "cc6", spread: 4 * time.Hour, derive: part(2, 1)},
	{name: "cc6 a fifth of users", of: "cc6", spread: 2 * time.Hour, derive: part(5, 2)},
	{name: "cc6 slow", of: "cc6", spread: 16 * time.Hour, derive: stretch(3)},
	{name: "cc6 fast", of: "cc6", spread: 4 * time.Hour, derive: stretch(0.3)},
	{name: "cc6 starts together", of: "cc6", spread: 8 * time.Hour, derive: together(20 * time.Minute)},
	{name: "tau 8 upstreams", of: "tau_airline", spread: 30 * time.Minute, change: upstreams(8)},
	{name: "tau 32 upstreams", of: "tau_airline", spread: 30 * time.Minute, change: upstreams(32)},
	{name: "tau TTL 1h", of: "tau_airline", spread: 30 * time.Minute, change: ttl(time.Hour)},
	{name: "tau dense", of: "tau_airline", spread: 8 * time.Minute},
	{name: "tau sparse", of: "tau_airline", spread: 2 * time.Hour},
	{name: "tau no least hit", of: "tau_airline", spread: 30 * time.Minute, change: func(c *conditions) { c.upstreams.MinHit = 0 }},
	{name: "mooncake 4 upstreams", of: "mooncake_conv", change: upstreams(4)},
	{name: "mooncake 32 upstreams", of: "mooncake_conv", change: upstreams(32)},
	{name: "mooncake TTL 1h", of: "mooncake_conv", change: ttl(time.Hour)},
	{name: "mooncake shuffled", of: "mooncake_conv", spread: time.Hour, derive: (*trace.Trace).Relative},
	{name: "mooncake slow", of: "mooncake_conv", derive: stretch(3)},
	{name: "mooncake no least hit", of: "mooncake_conv", change: func(c *conditions) { c.upstreams.MinHit = 0 }},
	{name: "mixed", of: "mix", spread: 2 * time.Hour},
	{name: "chats", of: "chats", spread: time.Hour},
	{name: "manual", of: "manual", spread: time.Hour},
	{name: "manual TTL 1h", of: "manual", spread: 4 * time.Hour, change: ttl(time.Hour)},
	{name: "swarms", of: "swarms", spread: 4 * time.Hour},
	{name: "swarms together", of: "swarms", spread: 4 * time.Hour, derive: together(15 * time.Minute)},
}

// workload makes the workload of a variation.
func (o *variation) workload(dir string) (*workload, error) {
	w := &workload{spread: o.spread}
	var err error
	switch {
	case o.of == "mix":
		if w.trace, w.made, err = mixed(dir); err != nil {
			return nil, err
		}
	case slices.Contains(trace.Shapes(), o.of):
		if w.trace, err = trace.Generate(o.of, 1); err != nil {
			return nil, err
		}
		w.made = true
	default:
		if w.trace, w.made, err = open(o.of, dir); err != nil {
			return nil, err
		}
	}
	if o.derive != nil {
		w.trace = o.derive(w.trace)
	}
	if w.trace.Absolute {
		w.spread = w.trace.Span()
	}
	named := *w.trace
	named.Name = o.name
	w.trace = &named
	w.trie = w.trace.Trie(scorerCap)
	return w, nil
}

// mixed makes a trace of some of the sessions of each: agents, chat and customer
// service.
func mixed(dir string) (t *trace.Trace, made bool, err error) {
	var all []*trace.Trace
	for i, name := range trace.Names() {
		t, m, err := open(name, dir)
		if err != nil {
			return nil, false, err
		}
		made = made || m
		if of := []int{6, 4, 1}[i]; of > 1 {
			t = t.Keep(func(s int) bool { return s%of == 0 })
		}
		all = append(all, t.Relative())
	}
	return trace.Mix("mixed", all...), made, nil
}

// simulateOthers runs policies over all variations and prints two figures of each:
// tokens read anew against the oracle's, and cost imbalance. It marks those of ours
// to which a policy of others was better in both, and returns an error if there are
// any.
func simulateOthers(t *testing.T, dir string, policies []policy, cond conditions, seeds seeds, out, progress io.Writer) error {
	fmt.Fprintln(out, "For each policy: tokens read anew against the oracle's, and cost of the busiest upstream against the mean.")
	fmt.Fprintln(out, "1.000 1.000 is perfect; \"!\" marks one of ours to which a policy of others was better in both.")
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, p := range policies {
		fmt.Fprint(table, "\t", p.key)
	}
	fmt.Fprintln(table)
	beaten := 0
	for i := range others {
		o := &others[i]
		w, err := o.workload(dir)
		if err != nil {
			return err
		}
		c := cond
		if o.change != nil {
			o.change(&c)
		}
		fmt.Fprint(progress, o.name, " ")
		results, err := simulate(t, []*workload{w}, policies, c, seeds, progress)
		if err != nil {
			return err
		}
		all := summarize(results, o.name)
		fmt.Fprint(table, o.name)
		for i := range all {
			s := &all[i]
			fmt.Fprintf(table, "\t%.3f %.3f", s.Mean.Uncached, s.Mean.Cost)
			if s.Ours && s.better(all) != nil {
				fmt.Fprint(table, "!")
				beaten++
			}
		}
		fmt.Fprintln(table)
	}
	table.Flush()
	if beaten > 0 {
		return fmt.Errorf("%d times a policy of others was better in both", beaten)
	}
	return nil
}

// better returns a policy of others that was better than s in misses and in
// imbalance, in each by more than its own standard deviation; nil if there is none.
func (s *summary) better(all []summary) *summary {
	for i := range all {
		o := &all[i]
		if !o.Ours && o.Mean.Uncached+o.SD.Uncached < s.Mean.Uncached && o.Mean.Cost+o.SD.Cost < s.Mean.Cost {
			return o
		}
	}
	return nil
}
