package main

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/go-affinity/affinity/bench/speed/internal/peers"
	"github.com/go-affinity/affinity/bench/speed/internal/result"
)

// rowNone is a process without a table, which shows what a collection costs anyway.
const rowNone = "no table"

// memory measures what a table costs the process that it is in: heap, garbage
// collection, and the time to invalidate the sessions of a target.
func memory(s *session) (result.Group, error) {
	n := pick(s, 1_000_000, 100_000)
	g := result.Group{
		Title: "the table in memory, at " + thousands(n) + " sessions",
		Notes: []string{
			"A process for each table, which is all that is on its heap. Ids that a table keeps are counted as its own.",
			"A collection is forced, and its CPU time that of the process. Those that cannot invalidate a target look for its sessions, and delete them.",
		},
	}
	kinds := slices.Insert(slices.Clone(peers.Kinds), 1, peers.Kind{Name: rowNone})
	kinds = slices.DeleteFunc(kinds, func(k peers.Kind) bool { return k.Name == peers.Yardstick })
	var children []*process
	for _, k := range kinds {
		p, err := s.start("table", k.Name, fmt.Sprint(n))
		if err != nil {
			return g, err
		}
		defer p.stop()
		children = append(children, p)
	}
	for _, q := range []struct {
		name, unit, question string
		rounds               int
		without              []string // who is not asked
		target               string
		limit                float64
	}{
		{"heap", "B a session", "fill", 1, []string{rowNone}, "heap", 64},
		{"CPU of a garbage collection", "ms", "gc", pick(s, 9, 3), nil, "CPU of a forced collection", 2},
		{"invalidate a target of a tenth of the sessions", "us", "invalidate", pick(s, 3, 1), []string{rowNone}, "invalidate a tenth", 200},
		// Some look for the sessions one by one, and would take minutes.
		{"invalidate a target of all sessions", "us", "invalidate all", pick(s, 3, 1), append(slowToFill, rowNone, "otter"), "invalidate all", 200},
	} {
		race := result.Race{Name: q.name, Unit: q.unit}
		var asked []*process
		for i, k := range kinds {
			if !slices.Contains(q.without, k.Name) {
				race.Rows = append(race.Rows, result.Row{Name: k.Name})
				asked = append(asked, children[i])
			}
		}
		err := s.turns(&race, q.rounds, func(i int) (x float64, err error) {
			err = asked[i].ask(q.question, &x)
			return x, err
		})
		if err != nil {
			return g, err
		}
		g.Races = append(g.Races, race)
		g.AtMost(q.target+", at "+thousands(n)+" sessions", race.Row(peers.Ours).Spread(), q.limit, q.unit, "")
	}
	return g, nil
}

// A tableChild answers questions in a process with one table, which "fill" makes.
type tableChild struct {
	kind  peers.Kind
	n     int
	table peers.Table
	gone  int // targets invalidated since the table was full
}

func newTableChild(kind string, n int) (*tableChild, error) {
	k, ok := peers.KindOf(kind)
	if !ok && kind != rowNone {
		return nil, fmt.Errorf("no such table: %s", kind)
	}
	return &tableChild{kind: k, n: n}, nil
}

// answer answers one of these questions, with a number unless it says otherwise:
//
//	fill            makes the table and fills it; bytes on the heap a session
//	gc              milliseconds of CPU time that a forced collection takes
//	invalidate      microseconds to invalidate a target of a tenth of the sessions
//	invalidate all  the same of a target of all sessions, which are bound to it first
//	stall <ttl>     stalls, of a table of its own whose sessions live for ttl
//
// A process without a table is asked for gc alone.
func (c *tableChild) answer(question string) (any, error) {
	switch question {
	case "fill":
		before := heap()
		c.table = c.kind.New(room(c.n), time.Hour)
		c.fill()
		return (heap() - before) / float64(c.n), nil
	case "gc":
		return collect(), nil
	case "invalidate":
		if c.gone == len(manyTargets) {
			c.fill()
			c.gone = 0
		}
		target := manyTargets[c.gone]
		c.gone++
		return c.invalidate(target), nil
	case "invalidate all":
		for i := range c.n {
			c.table.Set(peers.Key(i), "all")
		}
		c.gone = len(manyTargets)
		return c.invalidate("all"), nil
	}
	if ttl, ok := strings.CutPrefix(question, "stall "); ok {
		d, err := time.ParseDuration(ttl)
		if err != nil {
			return nil, err
		}
		return measureStalls(c.kind, c.n, d), nil
	}
	return nil, fmt.Errorf("what is %q?", question)
}

// fill binds all sessions, to all targets by turns.
func (c *tableChild) fill() {
	for i := range c.n {
		c.table.Set(peers.Key(i), manyTargets[i%len(manyTargets)])
	}
}

// invalidate invalidates a target and returns how many microseconds that took.
func (c *tableChild) invalidate(target string) float64 {
	start := time.Now()
	c.table.Invalidate(target)
	return float64(time.Since(start).Nanoseconds()) / 1e3
}

// heap returns how many bytes are alive on the heap.
func heap() float64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// collect collects garbage and returns the CPU time it took, in milliseconds.
func collect() float64 {
	runtime.GC() // what is left to do from before
	before := cpuTime()
	runtime.GC()
	return float64((cpuTime() - before).Nanoseconds()) / 1e6
}

// stall measures how long readers wait while much changes at once.
func stall(s *session) (result.Group, error) {
	n := pick(s, 1_000_000, 100_000)
	ttl := pick(s, 3*time.Second, time.Second)
	g := result.Group{
		Title: "readers of a table of " + thousands(n) + " sessions, while half of them expire at once, and while a target of half of them is invalidated",
		Notes: []string{
			"One goroutine reads sessions that stay, in random order, and clocks every read; another writes 20,000 new ones a second. Idle is the same without an event, in the same process: before both and after both, whichever is less.",
			"\"on time\" counts a read that took long as if others had come in every 10 us meanwhile, and waited: what a gateway would see. Plain sweeps four times a TTL.",
		},
	}
	kinds := []string{peers.Ours, peers.Plain, "otter", "phuslu/lru", "ttlcache", "golang-lru expirable"}
	if s.quick {
		kinds = kinds[:2]
	}
	// A race for each measure of each phase, by stalls.Seen.
	phases := []string{"idle", "while half expire", "while half are invalidated"}
	for _, measure := range [][2]string{{"p99.9 of a read", "ns"}, {"p99.9 on time", "ns"}, {"longest read", "us"}} {
		for _, phase := range phases {
			race := result.Race{Name: measure[0] + ", " + phase, Unit: measure[1]}
			for _, k := range kinds {
				race.Rows = append(race.Rows, result.Row{Name: k})
			}
			g.Races = append(g.Races, race)
		}
	}
	rounds := pick(s, 5, 1)
	for round := range rounds {
		for i, k := range kinds {
			if i > 0 && round > 0 {
				continue // the others are for comparison
			}
			s.say("round %d of %d: %s, which takes some %v", round+1, rounds, k, (3*ttl + ttl/2).Round(time.Second))
			p, err := s.start("table", k, fmt.Sprint(n))
			if err != nil {
				return g, err
			}
			var x stalls
			err = p.ask("stall "+ttl.String(), &x)
			p.stop()
			if err != nil {
				return g, err
			}
			if x.Expired < 0.99 || x.Lost > 0.01 {
				g.Notes = append(g.Notes, fmt.Sprintf("%s, round %d: %.1f %% had expired of those that should, %.1f %% of the others.", k, round+1, 100*x.Expired, 100*x.Lost))
			}
			for j := range g.Races {
				row := &g.Races[j].Rows[i]
				row.Samples = append(row.Samples, x.Seen[j%len(phases)][j/len(phases)])
			}
		}
	}
	for _, idle := range []int{0, len(phases)} { // of both kinds of p99.9
		for _, race := range g.Races[idle+1 : idle+len(phases)] {
			g.AtMost(race.Name+", beside idle", result.Ratio(race.Rows[0], g.Races[idle].Rows[0]), 3, "x", "")
		}
	}
	return g, nil
}

// stalls are what the reader saw, and what became of the sessions: the parts
// that had expired of those that should, and of those that should not.
type stalls struct {
	Seen          [3]seen // while idle, while half expire, while half are invalidated
	Expired, Lost float64
}

// seen sums up how long reads took: the 99.9th percentile in ns, the same of readers
// who come in on time (see onTime), and the longest in us.
type seen [3]float64

// measureStalls makes a table of n sessions that live for ttl, and reads half
// of them all the time.
func measureStalls(kind peers.Kind, n int, ttl time.Duration) stalls {
	debug.SetGCPercent(400) // the events are to be seen, not the collector
	keys := peers.Keys(n)
	dying, staying := keys[:n/2], slices.Clone(keys[n/2:])
	rand.Shuffle(len(staying), func(i, j int) { staying[i], staying[j] = staying[j], staying[i] })
	t := kind.New(room(n+n/4), ttl)
	defer t.Close()
	touch := func() {
		for _, key := range dying {
			if _, ok := t.Get(key); !ok {
				t.Set(key, manyTargets[0])
			}
		}
	}
	for i := range n {
		t.Set(peers.Key(i), manyTargets[min(2*i/n, 1)])
	}
	runtime.GC()

	stop := make(chan struct{})
	written := make(chan struct{})
	go func() { // new sessions, all the time
		defer close(written)
		fresh := n
		for tick := time.NewTicker(time.Millisecond); ; {
			select {
			case <-stop:
				tick.Stop()
				return
			case <-tick.C:
				for range 20 {
					t.Set(peers.Key(fresh), manyTargets[2+fresh%8])
					fresh++
				}
			}
		}
	}()
	r := &reader{table: t, keys: staying}
	var out stalls
	for _, key := range staying {
		t.Get(key)
	}
	r.read(ttl/10, false) // warm up
	touch()
	expired := time.Now().Add(ttl)
	out.Seen[0] = r.read(ttl/2, true)
	r.read(time.Until(expired)-ttl/20, false)
	out.Seen[1] = r.read(ttl*3/4, true)
	out.Expired, out.Lost = missing(t, dying), missing(t, staying)

	touch() // and bind anew
	done := make(chan struct{})
	time.AfterFunc(20*time.Millisecond, func() {
		t.Invalidate(manyTargets[0])
		close(done)
	})
	out.Seen[2] = r.read(ttl/4, true)
	<-done
	for i, x := range r.read(ttl/2, true) { // idle again, since what comes first is slower
		out.Seen[0][i] = min(out.Seen[0][i], x)
	}
	close(stop)
	<-written
	return out
}

// missing returns the part of the sessions that the table does not know, by a
// sample.
func missing(t peers.Table, keys []string) float64 {
	some := keys[:min(len(keys), 1000)]
	return 1 - float64(t.Lookup(some))/float64(len(some))
}

// reader reads sessions, one after the other and over and over, so that none of
// them expires, and clocks every read.
type reader struct {
	table peers.Table
	keys  []string
	next  int
}

// read reads for d. If keep, it returns what it saw; else that is zero.
func (r *reader) read(d time.Duration, keep bool) seen {
	h := newHistogram()
	start := time.Now()
	before := time.Since(start)
	for before < d {
		key := r.keys[r.next%len(r.keys)]
		r.next++
		before = time.Since(start)
		r.table.Get(key)
		after := time.Since(start)
		if keep {
			must(h.RecordValue(int64(after - before)))
		}
		before = after
	}
	p999 := func(h *hdrhistogram.Histogram) float64 { return float64(h.ValueAtPercentile(99.9)) }
	return seen{p999(h), p999(onTime(h, 10*time.Microsecond)), float64(h.Max()) / 1e3}
}
