package balance

import "slices"

// A pool is the accounts of the candidates of a placement, in their order. It does
// not change, so that many accounts can share it.
type pool struct{ accounts []*account }

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
