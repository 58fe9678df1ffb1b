package balance

import (
	"hash/maphash"
	"math/bits"
	"sync"

	"github.com/go-affinity/affinity/extract"
)

// holdings is the index of prompts by who holds them: for each boundary of a
// prompt, the targets that were sent a prompt with that beginning, and when.
// Both are known by their hashes. What went unused for longest is forgotten
// when there are more than the capacity.
//
// An entry takes 56 bytes, and its share of the buckets 8 to 16.
type holdings struct {
	mu       sync.Mutex // for all that follows
	capacity int
	clock    int64 // of the last sending
	seed     maphash.Seed
	hashes   []int32    // the first entry of each boundary, by hash
	pairs    []int32    // the same by hash and target
	chunks   [][]record // entries by number, from 1; 0 is none
	used     int        // how many there are

	// The entry that was used last and the one that was not for longest.
	newest, oldest int32
}

// A record is an entry: a target holds the prompt up to a boundary.
type record struct {
	hash   uint64 // of the boundary
	target uint64
	at     int64 // when it was sent last; 0 if what was sent is not there
	served int64 // when what was served last was sent; if nothing was, less than 0: when the entry was made
	parent int32 // the boundary before, at the same target; 0 is none

	// Neighbours in the same bucket of holdings.hashes, and the next one in
	// that of holdings.pairs: a boundary may be held by all targets.
	next, prev, pair int32

	// Neighbours in the order of use. A parent is never older than those
	// below it, so it outlives them.
	newer, older int32
}

const chunk = 1 << 10

func newHoldings(capacity int) holdings {
	return holdings{capacity: min(max(capacity, minCapacity), maxCapacity), seed: maphash.MakeSeed()}
}

// minCapacity is room for the longest prompt that Request.Boundaries cuts, and
// one more.
const (
	minCapacity = 1 << 11
	maxCapacity = 1 << 28
)

func (h *holdings) record(i int32) *record {
	i--
	return &h.chunks[i/chunk][i%chunk]
}

// byHash is where the entries of a boundary begin.
func (h *holdings) byHash(hash uint64) *int32 {
	return &h.hashes[maphash.Comparable(h.seed, hash)&uint64(len(h.hashes)-1)]
}

// byPair is where that of a boundary at a target is.
func (h *holdings) byPair(hash, target uint64) *int32 {
	return &h.pairs[maphash.Comparable(h.seed, [2]uint64{hash, target})&uint64(len(h.pairs)-1)]
}

// tick returns the time of a sending. No two have the same.
func (h *holdings) tick(now int64) int64 {
	h.clock = max(h.clock+1, now)
	return h.clock
}

// visit calls f for every target that holds the prompt up to hash, with the
// instant when it was sent there last, and reports whether there was any.
func (h *holdings) visit(hash uint64, f func(target uint64, at int64)) bool {
	found := false
	if h.used == 0 {
		return false
	}
	for i := *h.byHash(hash); i != 0; {
		r := h.record(i)
		if r.hash == hash && r.at != 0 {
			found = true
			f(r.target, r.at)
		}
		i = r.next
	}
	return found
}

// enter notes that a prompt was sent to a target at that tick, and calls f for
// every boundary, with the instant when it was sent there before; 0 if it was
// not. It returns the entry of the last one.
func (h *holdings) enter(cuts []extract.Boundary, target uint64, tick int64, f func(cut extract.Boundary, at int64)) int32 {
	if h.hashes == nil {
		size := 1 << bits.Len(uint(h.capacity-1))
		h.hashes, h.pairs = make([]int32, size), make([]int32, size)
	}
	var last int32
	for _, cut := range cuts[:min(len(cuts), h.capacity/2)] {
		i := h.find(cut.Hash, target)
		switch {
		case i == 0:
			i = h.add(cut.Hash, target)
			h.record(i).served = -tick
		case h.record(i).at == tick:
			continue // one hash twice
		default:
			h.unlink(i)
		}
		r := h.record(i)
		f(cut, r.at)
		r.at, r.parent = tick, last
		h.link(i, last)
		last = i
	}
	return last
}

// end tells what became of a prompt that was sent, whose last entry that is: whether
// it was served, or is not there. What was sent again since stays.
func (h *holdings) end(last int32, target uint64, tick int64, served bool) {
	for i, n := last, 0; i > 0 && int(i) <= h.used && n < h.capacity; n++ {
		r := h.record(i)
		switch {
		case r.target != target: // it was forgotten, and is another entry now
			return
		case tick < -r.served: // likewise, at the same target
			return
		case served:
			r.served = max(r.served, tick)
			r.at = max(r.at, tick) // a later one may have failed already
		case r.at == tick:
			r.at = max(r.served, 0)
		}
		i = r.parent
	}
}

// find returns the entry of a boundary at a target, 0 if there is none.
func (h *holdings) find(hash, target uint64) int32 {
	i := *h.byPair(hash, target)
	for i != 0 {
		r := h.record(i)
		if r.hash == hash && r.target == target {
			break
		}
		i = r.pair
	}
	return i
}

// add makes an entry that is in no order of use yet. If there are enough it
// takes the place of the oldest.
func (h *holdings) add(hash, target uint64) int32 {
	var i int32
	if h.used < h.capacity {
		if h.used%chunk == 0 {
			h.chunks = append(h.chunks, make([]record, chunk))
		}
		h.used++
		i = int32(h.used)
	} else {
		i = h.oldest
		h.unlink(i)
		h.drop(i)
	}
	first, pair := h.byHash(hash), h.byPair(hash, target)
	*h.record(i) = record{hash: hash, target: target, next: *first, pair: *pair}
	if *first != 0 {
		h.record(*first).prev = i
	}
	*first, *pair = i, i
	return i
}

// drop takes an entry out of its buckets.
func (h *holdings) drop(i int32) {
	r := h.record(i)
	if r.next != 0 {
		h.record(r.next).prev = r.prev
	}
	if r.prev != 0 {
		h.record(r.prev).next = r.next
	} else {
		*h.byHash(r.hash) = r.next
	}
	at := h.byPair(r.hash, r.target)
	for *at != i {
		at = &h.record(*at).pair
	}
	*at = r.pair
}

// link makes an entry the newest one but for those up to another; 0 is none.
func (h *holdings) link(i, behind int32) {
	r := h.record(i)
	older := h.newest
	if behind != 0 {
		older = h.record(behind).older
		h.record(behind).older = i
	} else {
		h.newest = i
	}
	r.newer, r.older = behind, older
	if older != 0 {
		h.record(older).newer = i
	} else {
		h.oldest = i
	}
}

func (h *holdings) unlink(i int32) {
	r := h.record(i)
	if r.newer != 0 {
		h.record(r.newer).older = r.older
	} else {
		h.newest = r.older
	}
	if r.older != 0 {
		h.record(r.older).newer = r.newer
	} else {
		h.oldest = r.newer
	}
}
