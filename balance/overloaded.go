package balance

import "slices"

// poolOf returns the accounts of the candidates, in their order: mostly the slice that they
// shared before, which nobody changes.
func (l *ledger) poolOf(r *roster) []*account {
	if !l.pools {
		return nil
	}
	_, _, pool, _ := r.candidates[0].account.standing(l, 0)
	if slices.EqualFunc(pool, r.candidates, func(a *account, c candidate) bool { return a == c.account }) {
		return pool
	}
	pool = make([]*account, len(r.candidates))
	for i, c := range r.candidates {
		pool[i] = c.account
	}
	return pool
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
	for _, a := range pool {
		work, weight, _, _ := a.standing(l, now)
		works += work
		weights += weight
	}
	return work/weight > times*(works/weights)
}
