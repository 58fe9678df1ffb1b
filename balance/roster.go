package balance

import (
	"math"
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

// half returns the part of the cost of a session that counts as load of a target
// before the session is placed there. A session fills small targets for longer. If
// targets were compared as they are before it comes, small ones would be given
// more than their share; as they are once it is there, rather less. So half of it
// counts.
func half(cost float64) float64 { return cost / 2 }

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

const (
	// shortAbsence is the part of a half-life for which a target does not count
	// as away.
	shortAbsence = 1.0 / 1024

	// mostDebt bounds the work that a target may be charged with for the time that
	// it was away: it is a multiple of the work of all others together.
	mostDebt = 16

	// mostKept bounds the mean load that targets may keep whose weights rise. It is a
	// multiple of what the work of all comes to.
	mostKept = 1000
)

// weigh finds out the loads of the candidates, and notes in their accounts that
// they were candidates. It is called at the start of every placement, which take
// turns.
//
// A target whose weight has changed has the load that it had: what it was given was its
// share by the weight of that time, and it is given its share by that of now, with nothing
// to make up for or to wait for. So a quota that is there again all at once, or a slow
// start, does not have all new sessions go there. See keepLoads for weights that rise. To
// a target that is alone, its weight does not matter, and is that of the time before.
func (l *ledger) weigh(r *roster, now int64) {
	var last int64
	rose := false
	for i := range r.candidates {
		c := &r.candidates[i]
		a := c.account
		a.mu.Lock()
		a.advance(l, now)
		c.counted, c.load, c.rise = a.work/c.weight, a.work/c.weight, 1
		if a.candidateAt != 0 && c.weight != a.weight && len(r.candidates) > 1 {
			c.load, c.rise = a.work/a.weight, c.weight/a.weight
			rose = rose || c.rise > 1
		}
		c.expected = a.expected / c.weight
		c.candidateAt, c.othersLoad = a.candidateAt, a.othersLoad
		last = max(last, a.candidateAt)
		a.mu.Unlock()
	}
	if rose {
		r.keepLoads()
	}
	l.chargeAbsences(r, last)

	var work, weight float64
	r.leastLoad, r.mostWeight = math.Inf(1), 0
	for i := range r.candidates {
		c := &r.candidates[i]
		r.leastLoad, r.mostWeight = min(r.leastLoad, c.load), max(r.mostWeight, c.weight)
		work += c.load * c.weight
		weight += c.weight
	}
	r.meanLoad = work / weight
	p := l.poolOf(r)
	for i := range r.candidates {
		c := &r.candidates[i]
		a := c.account
		a.mu.Lock()
		a.work = min(max(0, a.work+(c.load-c.counted)*c.weight), maxWork)
		if a.candidateAt == 0 || len(r.candidates) > 1 {
			a.weight = c.weight
		}
		a.candidateAt, a.pool, a.fairLoad = now, p, r.meanLoad
		a.othersLoad = 0
		if len(r.candidates) > 1 {
			a.othersLoad = (work - c.load*c.weight) / (weight - c.weight)
		}
		a.mu.Unlock()
	}
}

// keepLoads sees to the loads of candidates whose weights have risen. By how much one was
// ahead of the others, or behind them, is the same work as before, and so less of a load:
// otherwise, a request to a target that weighed next to nothing would count for many. The
// load is no more than the most of those whose weights have not risen, or what its work
// comes to: a small target may have had to do the work of all while it was alone.
//
// The loads of the others stay as they are. They are compared with those of targets that
// are not on this roster.
func (r *roster) keepLoads() {
	var most, kept, weight, work, weightNow float64
	for i := range r.candidates {
		c := &r.candidates[i]
		if c.candidateAt == 0 {
			continue
		}
		kept += c.load * (c.weight / c.rise)
		weight += c.weight / c.rise
		work += c.counted * c.weight
		weightNow += c.weight
		if c.rise <= 1 {
			most = max(most, c.load)
		}
	}
	mean := min(kept/weight, mostKept*work/weightNow)
	for i := range r.candidates {
		if c := &r.candidates[i]; c.rise > 1 {
			c.load = mean + (c.load-kept/weight)/c.rise
			if most > 0 {
				c.load = min(c.load, most)
			}
			c.load = max(c.counted, c.load)
		}
	}
}

// chargeAbsences charges a target that could not be chosen for a while, because it was out of
// order or is new, with the mean load of the time that it missed: it has not been idle for want
// of work. Otherwise, all new sessions would go there until it had made up for what it missed,
// and with the work that they bring later it would have too much. But it is charged with no
// more than the least loaded of the others has, so that its turn comes however seldom it is a
// candidate. last is the last placement that any of the candidates was one for.
func (l *ledger) chargeAbsences(r *roster, last int64) {
	var work, weight float64
	least := math.Inf(1)
	for i := range r.candidates {
		c := &r.candidates[i]
		if c.candidateAt != 0 && float64(last-c.candidateAt) < shortAbsence*l.halfLife {
			least = min(least, c.load)
			work += c.load * c.weight
			weight += c.weight
		}
	}
	if work == 0 {
		return
	}
	mean := work / weight
	for i := range r.candidates {
		c := &r.candidates[i]
		if c.load >= least {
			continue
		}
		debt := mean
		if c.candidateAt != 0 {
			debt *= 1 - l.decay(last-c.candidateAt)
		}
		// What the others had when it was last a candidate has decayed as its own load
		// has. If they have more than that now, they had more to do without it. (Either
		// number may be next to nothing, and their ratio infinite.)
		if c.load > 0 && c.othersLoad > 0 {
			debt += c.load * (mean/c.othersLoad - 1)
		}
		c.load += max(0, min(debt, least-c.load, mostDebt*work/c.weight-c.load))
	}
}

// poolOf returns the pool of the candidates: mostly the one that they had before.
func (l *ledger) poolOf(r *roster) *pool {
	if !l.pools {
		return nil
	}
	_, _, p, _ := r.candidates[0].account.standing(l, 0)
	if p != nil && slices.EqualFunc(p.accounts, r.candidates, func(a *account, c candidate) bool { return a == c.account }) {
		return p
	}
	p = &pool{make([]*account, len(r.candidates))}
	for i, c := range r.candidates {
		p.accounts[i] = c.account
	}
	return p
}

// overloaded reports whether the load of a target is more than so many times what
// is fair. That is the load of its pool, taken together, as it was when the target
// was last a candidate or as it is now, whichever is more. A target that never was
// a candidate is not overloaded.
func (l *ledger) overloaded(id string, times float64) bool {
	a := l.known(id)
	if a == nil {
		return false
	}
	now := l.now()
	work, weight, pool, fairLoad := a.standing(l, now)
	if pool == nil || work/weight <= times*fairLoad {
		return false // so it mostly is, and no other account had to be locked
	}
	var works, weights float64
	for _, a := range pool.accounts {
		work, weight, _, _ := a.standing(l, now)
		works += work
		weights += weight
	}
	return work/weight > times*(works/weights)
}
