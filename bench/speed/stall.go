package main

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/go-affinity/affinity/bench/speed/internal/peers"
	"github.com/go-affinity/affinity/bench/speed/internal/result"
)

// stall measures how long readers wait while much changes at once.
func stall(s *setting) (result.Group, error) {
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

// newHistogram returns a histogram of durations in nanoseconds, to three digits.
func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, time.Hour.Nanoseconds(), 3)
}

// onTime returns what readers would have seen that come in one every so often,
// whether or not the one before is done, and wait their turn. h has the reads of a
// single reader that went on without a break: a read that takes long delays only
// itself there, and would have delayed all who came in meanwhile.
func onTime(h *hdrhistogram.Histogram, interval time.Duration) *hdrhistogram.Histogram {
	every, out := interval.Nanoseconds(), newHistogram()
	var total, short int64 // of all reads; of those so short that nobody comes in meanwhile
	for _, b := range h.Distribution() {
		total += b.Count * b.From
		if b.From < every {
			short += b.Count
			continue
		}
		for left := b.From; b.Count > 0 && left > 0; left -= every {
			must(out.RecordValues(left, b.Count))
		}
	}
	// The others found as many of each size as there were. (Their sum is rounded: there may
	// be less than one of most sizes.)
	others := max(total/every-out.TotalCount(), 0)
	var seen, given int64
	for _, b := range h.Distribution() {
		if b.Count > 0 && b.From < every {
			seen += b.Count
			due := others * seen / short
			must(out.RecordValues(b.From, due-given))
			given = due
		}
	}
	return out
}
