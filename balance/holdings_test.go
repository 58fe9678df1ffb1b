package balance

import (
	"cmp"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
)

// naive is what holdings ought to be, written down as it is said.
type naive struct {
	capacity int
	entries  []*naiveEntry // by last use, the latest first
	known    map[naiveKey]*naiveEntry
}

type naiveKey struct{ hash, target uint64 }

type naiveEntry struct {
	naiveKey
	at, served int64
}

func (n *naive) enter(cuts []extract.Boundary, target uint64, tick int64) {
	for _, cut := range slices.Backward(cuts) {
		key := naiveKey{cut.Hash, target}
		e := n.known[key]
		if e == nil {
			e = &naiveEntry{naiveKey: key}
			n.known[key] = e
		} else {
			i := slices.Index(n.entries, e)
			n.entries = slices.Delete(n.entries, i, i+1)
		}
		e.at = tick
		n.entries = slices.Insert(n.entries, 0, e)
	}
	for len(n.entries) > n.capacity {
		last := len(n.entries) - 1
		delete(n.known, n.entries[last].naiveKey)
		n.entries = n.entries[:last]
	}
}

func (n *naive) end(cuts []extract.Boundary, target uint64, tick int64, served bool) {
	for _, cut := range cuts {
		if e := n.known[naiveKey{cut.Hash, target}]; e != nil {
			switch {
			case served:
				e.served, e.at = max(e.served, tick), max(e.at, tick)
			case !served && tick == e.at:
				e.at = e.served
			}
		}
	}
}

type holding struct {
	target uint64
	at     int64
}

func compare(a, b holding) int { return cmp.Compare(a.target, b.target) }

func TestHoldingsAgainstNaive(t *testing.T) {
	type sending struct {
		cuts   []extract.Boundary
		target uint64
		tick   int64
		last   int32
	}
	for seed := range uint64(4) {
		rng := rand.New(rand.NewPCG(seed, 1))
		h := newHoldings(minCapacity)
		n := &naive{capacity: minCapacity, known: map[naiveKey]*naiveEntry{}}
		// A tree of prompts: each node goes on from an earlier one.
		path := [][]extract.Boundary{nil}
		for i := range 1500 {
			from := path[len(path)-1-rng.IntN(min(len(path), 10))]
			if len(from) > 150 {
				from = nil
			}
			path = append(path, append(slices.Clone(from), extract.Boundary{Hash: uint64(i), Bytes: i}))
		}
		var sent []sending
		forgot := false
		for step := range 400 {
			s := sending{cuts: path[rng.IntN(len(path))], target: rng.Uint64N(5)}
			if len(s.cuts) == 0 {
				continue
			}
			s.tick = h.tick(int64(step))
			before := map[uint64]int64{}
			s.last = h.enter(s.cuts, s.target, s.tick, func(cut extract.Boundary, at int64) { before[cut.Hash] = at })
			for _, cut := range s.cuts {
				want := int64(0)
				if e := n.known[naiveKey{cut.Hash, s.target}]; e != nil {
					want = e.at
				}
				if before[cut.Hash] != want {
					require.Equal(t, want, before[cut.Hash])
				}
			}
			n.enter(s.cuts, s.target, s.tick)
			sent = append(sent, s)
			if rng.IntN(2) == 0 {
				// One of the last few ends: nothing of it was forgotten.
				s, served := sent[len(sent)-1-rng.IntN(min(len(sent), 4))], rng.IntN(2) == 0
				h.end(s.last, s.target, s.tick, served)
				n.end(s.cuts, s.target, s.tick, served)
			}
			forgot = forgot || len(n.entries) == minCapacity
			for _, cut := range path[rng.IntN(len(path))] {
				var got, want []holding
				h.visit(cut.Hash, math.MaxInt, func(r *record) { got = append(got, holding{r.target, r.at}) })
				for target := range uint64(5) {
					if e := n.known[naiveKey{cut.Hash, target}]; e != nil && e.at != 0 {
						want = append(want, holding{target, e.at})
					}
				}
				slices.SortFunc(got, compare)
				if !slices.Equal(want, got) {
					t.Fatalf("seed %d, step %d: %v instead of %v", seed, step, got, want)
				}
			}
			require.Equal(t, len(n.entries), h.used)
		}
		require.True(t, forgot, "the capacity was reached")
	}
}

// What a ticket says may be of a time before its entries were forgotten.
func TestEndOfTheForgotten(t *testing.T) {
	for _, served := range []bool{false, true} {
		endOfTheForgotten(t, served)
	}
}

func endOfTheForgotten(t *testing.T, served bool) {
	h := newHoldings(minCapacity)
	prompt := func(i, n int) (cuts []extract.Boundary) {
		for k := range n {
			cuts = append(cuts, extract.Boundary{Hash: uint64(i*10_000 + k), Bytes: k})
		}
		return cuts
	}
	none := func(extract.Boundary, int64) {}
	for round := range 5 {
		tick := h.tick(0)
		last := h.enter(prompt(round, 1000), uint64(round), tick, none)
		for i := range 10 {
			h.enter(prompt(100+10*round+i, 1000), uint64(round%2), h.tick(0), none)
		}
		h.end(last, uint64(round), tick, served)
		for i := range h.used {
			require.Negative(t, h.record(int32(i+1)).served, "what is there now has not been served")
		}
	}
	for _, last := range []int32{0, -1, minCapacity + 1, 1 << 30, -1 << 31} {
		h.end(last, 0, 1, served)
	}
	found := 0
	for i := range 60 {
		for _, cut := range prompt(100+i, 1000) {
			h.visit(cut.Hash, math.MaxInt, func(*record) { found++ })
		}
	}
	require.Equal(t, minCapacity, found, "all that there is room for is still there")
}

// What was served is there, however many of the others fail, and whenever they do.
func TestWhatWasServedIsThere(t *testing.T) {
	cuts, none := []extract.Boundary{{Hash: 1, Bytes: 5000}}, func(extract.Boundary, int64) {}
	for served := range 3 {
		for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
			h := newHoldings(minCapacity)
			var last [3]int32
			var tick [3]int64
			for i := range 3 {
				tick[i] = h.tick(int64(i+1) * 1e9)
				last[i] = h.enter(cuts, 7, tick[i], none)
			}
			for _, i := range order {
				h.end(last[i], 7, tick[i], i == served)
			}
			var at int64
			h.visit(1, math.MaxInt, func(r *record) { at = r.at })
			require.Equal(t, tick[served], at)
		}
	}
}

// What a target is sent for the first time is there once it was served, or after a second and one
// more for every 64 kB.
func TestThere(t *testing.T) {
	sent := int64(time.Minute)
	r := record{at: sent, served: -sent}
	for bytes, takes := range map[int]time.Duration{0: time.Second, 1 << 16: 2 * time.Second, 10 << 16: 11 * time.Second} {
		require.Zero(t, r.there(bytes, sent+int64(takes)-1))
		require.Equal(t, sent, r.there(bytes, sent+int64(takes)))
	}
	r.served = sent
	require.Equal(t, sent, r.there(1<<20, sent))
	r = record{served: -sent}
	require.Zero(t, r.there(0, 2*sent), "it has failed")
}

// A boundary that a prompt has twice counts once.
func TestBoundaryThatComesTwice(t *testing.T) {
	h := newHoldings(minCapacity)
	cuts := []extract.Boundary{{Hash: 1}, {Hash: 2}, {Hash: 1}, {Hash: 3}, {Hash: 3}}
	var before []int64
	tick := h.tick(0)
	last := h.enter(cuts, 7, tick, func(_ extract.Boundary, at int64) { before = append(before, at) })
	require.Equal(t, []int64{0, 0, 0}, before)
	h.end(last, 7, tick, false)
	for _, cut := range cuts {
		require.NotZero(t, h.find(cut.Hash, 7))
		h.visit(cut.Hash, math.MaxInt, func(*record) { t.Error("it is not there") })
	}
}

// The documentation of PrefixConfig.Capacity tells what entries take.
// Where more targets hold a prompt than one wants to look through, that is told.
func TestVisitGivesUp(t *testing.T) {
	h := newHoldings(1 << 11)
	for target := range uint64(10) {
		h.enter([]extract.Boundary{{Hash: 1}}, target, int64(target+1), func(extract.Boundary, int64) {})
	}
	for most := range 12 {
		n := 0
		require.Equal(t, most >= 10, h.visit(1, most, func(*record) { n++ }))
		require.Equal(t, min(most, 10), n)
	}
}

func TestSizeOfAnEntry(t *testing.T) {
	h := newHoldings(1 << 18)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	cuts := make([]extract.Boundary, 1000)
	for i := range 300 {
		for k := range cuts {
			cuts[k] = extract.Boundary{Hash: uint64(i*1000 + k)}
		}
		h.enter(cuts, 1, h.tick(0), func(extract.Boundary, int64) {})
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	require.Equal(t, 1<<18, h.used)
	assert.Less(t, float64(after.HeapAlloc-before.HeapAlloc), 17.5e6)
	assert.EqualValues(t, 56, unsafe.Sizeof(record{}))
	huge := newHoldings(math.MaxInt)
	assert.EqualValues(t, maxCapacity, huge.capacity, "entries have numbers of 31 bits")
}

// Of the longest prompt, all boundaries are entered, however small the index: see enter.
func TestLeastCapacity(t *testing.T) {
	message := `{"role":"user","content":"` + strings.Repeat("x", 5000) + `"},`
	req := extract.Request{Body: []byte(`{"system":"s","messages":[` + strings.Repeat(message, 3000) + `{}]}`)}
	require.Len(t, req.Boundaries(), 1024)
	require.LessOrEqual(t, 2*len(req.Boundaries()), newHoldings(0).capacity)
}

func BenchmarkEnter(b *testing.B) {
	h := newHoldings(1 << 18)
	cuts := make([]extract.Boundary, 90)
	i := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		i++
		for k := range cuts {
			cuts[k] = extract.Boundary{Hash: i%3000<<20 + uint64(k), Bytes: k * 4096}
		}
		h.enter(cuts, i%16, h.tick(0), func(extract.Boundary, int64) {})
	}
}
