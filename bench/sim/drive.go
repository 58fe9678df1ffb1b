package main

import (
	"container/heap"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/bench/internal/trace"
	"github.com/go-affinity/affinity/bench/internal/upstream"
)

// A workload is a trace, with what all runs over it share. It is read only.
type workload struct {
	trace  *trace.Trace
	trie   *trace.Trie
	spread time.Duration // time over which sessions start; with absolute times, that of the trace
	made   bool          // the generator has made the trace up
}

// conditions are what the policies have to cope with.
type conditions struct {
	upstreams upstream.Config
	outage    schedule

	// A target that served more than rate uncached tokens a minute answers
	// 429, with the time until it has room again; 0 means no limit.
	rate float64

	// cooldown is for how long the gateway leaves out a target that failed.
	cooldown time.Duration

	// failover is what the library does with sessions whose home is out.
	failover affinity.FailoverPolicy
}

// A schedule takes every upstream out for a time, once in a period, one after
// the other. The zero schedule takes out none.
type schedule struct{ out, every time.Duration }

// down reports whether upstream u of n is out.
func (s schedule) down(u, n int, now time.Duration) bool {
	if s.every <= 0 {
		return false
	}
	first := s.every * time.Duration(2*u+1) / time.Duration(2*n)
	return now >= first && (now-first)%s.every < s.out
}

// A router chooses the upstream for every request. It is asked by one
// goroutine, in the order of time.
type router interface {
	// route chooses for request i of the trace, among the usable upstreams,
	// of which there is at least one, in ascending order. It returns what is to
	// be called at the end of the request, if anything.
	route(ctx context.Context, i int, now time.Duration, usable []int) (u int, done func(ended), err error)
}

// ended is how a request ended.
type ended struct {
	failed bool
	usage  affinity.Usage
}

// A clock sleeps until an instant, counted from the start of the run. For policies
// that are told the time it does nothing; the library, which looks at the time
// itself, sleeps in a bubble of virtual time.
type clock func(until time.Duration)

// An event is that a request comes in or, if ends is set, that one ends.
type event struct {
	at       time.Duration
	sequence int // by which events at the same time come in the order in which they were pushed
	ends     bool

	// Of a request that comes in.
	request int
	since   time.Duration // since when it has waited for an upstream; 0 if it does not

	// Of one that ends.
	target int
	done   func(ended) // nil if nobody wants to know
	result ended
}

// events is a heap by time; at the same time ends come before arrivals.
type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	a, b := &e[i], &e[j]
	switch {
	case a.at != b.at:
		return a.at < b.at
	case a.ends != b.ends:
		return a.ends
	}
	return a.sequence < b.sequence
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	(*e)[len(*e)-1] = event{}
	*e = (*e)[:len(*e)-1]
	return last
}

// A driver runs one policy over one trace.
type driver struct {
	*workload
	cond    conditions
	oracle  []int // cached tokens by request
	router  router
	fleet   *upstream.Fleet
	meter   *meter
	pending events
	pushed  int // events so far

	// By upstream.
	inflight []int
	excluded []time.Duration // until when the gateway leaves it out
	budget   []float64       // uncached tokens that it still reads without a 429
	refilled []time.Duration // when budget was last brought up to date

	usable []int // of arrive, kept for its memory

	last  []int           // by session: its last request so far, or -1
	prior []int           // by request: the one of its session before it, or -1
	when  []time.Duration // by request: when it was served
	home  []int           // by session: where its last request went, or -1
}

// oracle returns how many tokens of every request one infinite cache would
// have held.
func (w *workload) oracle(arrivals []trace.Arrival, cfg upstream.Config) []int {
	cfg.N, cfg.Capacity = 1, 0
	fleet := upstream.New(w.trie, cfg)
	cached := make([]int, len(w.trace.Requests))
	for _, a := range arrivals {
		cached[a.Request] = fleet.Serve(0, w.trie.Path[a.Request], w.trace.Requests[a.Request].Prompt, a.At)
	}
	return cached
}

// newDriver makes a driver; its router has to be set before run.
func newDriver(w *workload, arrivals []trace.Arrival, cond conditions) *driver {
	n := cond.upstreams.N
	d := &driver{
		workload: w, cond: cond,
		oracle:   w.oracle(arrivals, cond.upstreams),
		fleet:    upstream.New(w.trie, cond.upstreams),
		meter:    newMeter(n),
		inflight: make([]int, n),
		excluded: make([]time.Duration, n),
		budget:   make([]float64, n),
		refilled: make([]time.Duration, n),
		last:     slices.Repeat([]int{-1}, w.trace.Sessions()),
		prior:    slices.Repeat([]int{-1}, len(w.trace.Requests)),
		when:     make([]time.Duration, len(w.trace.Requests)),
		home:     slices.Repeat([]int{-1}, w.trace.Sessions()),
	}
	for u := range d.budget {
		d.budget[u] = cond.rate
	}
	for _, a := range arrivals {
		d.push(event{at: a.At, request: a.Request})
	}
	return d
}

// push adds an event to those to come.
func (d *driver) push(e event) {
	d.pushed++
	e.sequence = d.pushed
	heap.Push(&d.pending, e)
}

// run drives all requests through the router.
func (d *driver) run(ctx context.Context, sleep clock) error {
	for len(d.pending) > 0 {
		e := heap.Pop(&d.pending).(event)
		sleep(e.at)
		if e.ends {
			d.inflight[e.target]--
			if e.done != nil {
				e.done(e.result)
			}
			continue
		}
		if err := d.arrive(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// patience is how long a request waits for a usable upstream before it is lost.
const patience = 2 * time.Minute

// errChoice is the error of a policy that is wrong.
var errChoice = errors.New("the policy chose an upstream that is not usable")

// arrive brings a request to an upstream as a gateway does: an upstream that fails
// or refuses is left out for a while, and the request is sent elsewhere at once. If
// nobody is left, it arrives again when the first one is back.
func (d *driver) arrive(ctx context.Context, e event) error {
	i, now := e.request, e.at
	for {
		d.usable = d.usable[:0]
		back := d.excluded[0]
		for u, until := range d.excluded {
			if until <= now {
				d.usable = append(d.usable, u)
			}
			back = min(back, until)
		}
		if len(d.usable) == 0 {
			if e.since == 0 {
				e.since = max(now, 1)
				d.meter.waited++
			}
			if e.at = back; back-e.since > patience {
				d.meter.lost++
				return nil
			}
			d.push(e)
			return nil
		}
		u, done, err := d.router.route(ctx, i, now, d.usable)
		if err != nil {
			return err
		}
		if !slices.Contains(d.usable, u) {
			return errChoice
		}
		wait := d.refusal(u, now)
		if wait == 0 {
			d.serve(i, u, now, done)
			return nil
		}
		d.excluded[u] = now + wait
		if done != nil {
			done(ended{failed: true})
		}
	}
}

// refusal returns for how long upstream u is to be left alone, or 0 if it takes
// the request.
func (d *driver) refusal(u int, now time.Duration) time.Duration {
	n := d.cond.upstreams.N
	if d.cond.outage.down(u, n, now) {
		d.meter.failed++
		return d.cond.cooldown
	}
	if d.cond.rate <= 0 {
		return 0
	}
	d.budget[u] = min(d.cond.rate, d.budget[u]+d.cond.rate*(now-d.refilled[u]).Minutes())
	d.refilled[u] = now
	if d.budget[u] > 0 {
		return 0
	}
	d.meter.refused++
	wait := time.Duration((1 - d.budget[u]) / d.cond.rate * float64(time.Minute))
	return wait.Truncate(time.Second) + time.Second // Retry-After has whole seconds
}

// serve has upstream u serve request i.
func (d *driver) serve(i, u int, now time.Duration, done func(ended)) {
	r, end := &d.trace.Requests[i], d.trie.Path[i]
	cached := d.fleet.Hit(u, end, r.Prompt, now)
	if cached < d.oracle[i] {
		d.blame(i, u, cached, now)
	}
	if home := d.home[r.Session]; home >= 0 && home != u {
		d.meter.moves++
	}
	d.fleet.Serve(u, end, r.Prompt, now)
	usage := affinity.Usage{Uncached: r.Prompt - cached, Cached: cached, Output: r.Output}
	d.meter.count(u, now, usage, d.oracle[i])
	d.budget[u] -= float64(r.Prompt - cached)

	d.home[r.Session] = u
	d.prior[i], d.last[r.Session], d.when[i] = d.last[r.Session], i, now
	d.inflight[u]++
	d.push(event{
		at: now + r.Took, ends: true, target: u, done: done,
		result: ended{usage: usage},
	})
}

// blame finds out why request i got less from the cache of upstream u than the
// oracle would have had: token by token, because its session had it alive
// elsewhere, because it had expired here, or because it never was here.
func (d *driver) blame(i, u, cached int, now time.Duration) {
	r, end := &d.trace.Requests[i], d.trie.Path[i]
	ttl := d.cond.upstreams.TTL

	// own is how much of the prompt the session itself has used lately: so much is
	// alive somewhere, if not here.
	own := 0
	for j := d.last[r.Session]; j >= 0 && d.when[j]+ttl > now && own < d.oracle[i]; j = d.prior[j] {
		own = max(own, d.trie.Tokens(d.trie.Meet(d.trie.Path[j], end)))
	}
	for s := end; s > 0; s = d.trie.Parent[s] {
		from := max(int(d.trie.Start(s))*d.trie.Block, cached)
		to := min(d.trie.Tokens(s), d.oracle[i])
		switch {
		case to <= from:
		case d.trie.Tokens(s) <= own:
			d.meter.moved += int64(to - from)
		case d.fleet.Held(u, s):
			d.meter.expiredHere += int64(to - from)
		default:
			d.meter.neverHere += int64(to - from)
		}
	}
}
