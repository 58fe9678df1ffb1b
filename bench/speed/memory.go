package main

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/go-affinity/affinity/bench/speed/internal/peers"
	"github.com/go-affinity/affinity/bench/speed/internal/result"
)

// rowNone is a process without a table, which shows what a collection costs anyway.
const rowNone = "no table"

// memory measures what a table costs the process that it is in: heap, garbage
// collection, and the time to invalidate the sessions of a target.
func memory(s *setting) (result.Group, error) {
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
