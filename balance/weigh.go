package balance

import "math"

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
	pool := l.poolOf(r)
	for i := range r.candidates {
		c := &r.candidates[i]
		a := c.account
		a.mu.Lock()
		a.work = min(max(0, a.work+(c.load-c.counted)*c.weight), maxWork)
		if a.candidateAt == 0 || len(r.candidates) > 1 {
			a.weight = c.weight
		}
		a.candidateAt, a.pool, a.fairLoad = now, pool, r.meanLoad
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
