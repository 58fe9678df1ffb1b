package balance

import (
	"math/bits"
	"slices"
	"sync"
)

// A roster is the candidates of one placement, with what the ledger knows of them.
type roster struct {
	candidates []candidate

	// What weigh has found out. Loads are work by weight.
	meanLoad   float64 // the work of all by the weight of all
	leastLoad  float64
	mostWeight float64

	// A hash table of the candidates by the hash of their targets, with linear
	// probing: numbers from 1, 0 where there is none. Its length is a power of
	// two, and it is half full at most. Only Prefix makes and needs it.
	index []int32
}

// A candidate is one target on a roster.
type candidate struct {
	at          int // its index in the caller's list
	account     *account
	weight      float64
	load        float64
	expected    float64 // what its sessions are likely to cost yet, by its weight
	counted     float64 // what the work in its account comes to as a load, at its weight now
	candidateAt int64   // when it was last a candidate before; 0 is never
	rise        float64 // its weight now, divided by that of then
	othersLoad  float64 // of the others then

	held part // how much of the prompt it holds; only Prefix knows
}

// indexTargets makes the index that find needs.
func (r *roster) indexTargets() {
	size := 2 << bits.Len(uint(len(r.candidates)))
	r.index = slices.Grow(r.index[:0], size)[:size]
	clear(r.index)
	for i := range r.candidates {
		at := r.candidates[i].account.target
		for ; r.index[at&uint64(size-1)] != 0; at++ {
		}
		r.index[at&uint64(size-1)] = int32(i + 1)
	}
}

// find returns the candidate whose target has that hash, or nil.
func (r *roster) find(target uint64) *candidate {
	mask := uint64(len(r.index) - 1)
	for at := target; ; at++ {
		i := r.index[at&mask]
		if i == 0 {
			return nil
		}
		if c := &r.candidates[i-1]; c.account.target == target {
			return c
		}
	}
}

// rosters are those that are not in use, so that placements need not allocate: as
// many as there were placements at the same time.
type rosters struct {
	mu    sync.Mutex
	spare []*roster
}

// get returns an empty roster.
func (s *rosters) get() *roster {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.spare)
	if n == 0 {
		return new(roster)
	}
	r := s.spare[n-1]
	s.spare = s.spare[:n-1]
	return r
}

// put takes a roster back.
func (s *rosters) put(r *roster) {
	clear(r.candidates) // so that it keeps no account in memory that is closed
	r.candidates = r.candidates[:0]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spare = append(s.spare, r)
}
