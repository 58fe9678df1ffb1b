// Package balance has ready-made pickers for what a Selector has to place: a
// request without a session, a new session, and one whose home is gone.
//
//	RoundRobin   each in turn: the same number of picks for every target
//	FillFirst    the first: your order is the priority
//	Random       any: even in the long run, and nothing to share between goroutines
//	Weighted     in proportion to a weight: targets of different size or quota
//	PowerOfTwo   the less loaded of two: when the load you see lags behind
//	Least        the least loaded of all: when the load you see is up to date
//	Rendezvous   by hash: processes that share nothing place a key alike
//	LeastCost    the least work lately: even work and quota, and nothing to measure
//	Prefix       the same, weighed against what each target has in its cache
//
// Sessions differ in work by orders of magnitude, so equal numbers of them
// are not equal work, and the number of requests in flight is 0 or 1 most of
// the time and says little. LeastCost and Prefix are balancers
// ([affinity.Balancer]): as the fallback of a Selector they learn from it what
// every request was and what it cost, and remember that for some hours.
//
// Take LeastCost unless there is a reason not to. Take Prefix if sessions have
// the beginnings of their prompts in common (agents of one make, branches,
// sub-agents), if clients do not say which session they belong to, or if
// targets come and go; it reads the body of every request. Take PowerOfTwo or
// Least if you have a better measure of load, such as the rest of a quota.
//
// # What they have in common
//
// Every picker here answers with one of the candidates, or with
// [affinity.ErrNoCandidates] if there are none; that is its only error. All
// are safe for concurrent use and do not allocate (but for the boundaries of
// Prefix, and for LeastCost and Prefix with MaxShare where the list of candidates
// changes). They look at the candidates of this one call, so targets may come and
// go. LeastCost and Prefix remember targets by their IDs, a bounded number of them,
// and take locks that are held for microseconds; the others remember nothing and
// take no lock. The request
// may be nil.
//
// The functions that you hand to a constructor are called by Pick, on its
// goroutine, by many goroutines at once. They should be quick. A nil function
// is a programming error: the constructor panics.
//
// # Writing your own
//
// Any function of the right shape is a picker by way of
// [affinity.PickerFunc], and pickers combine. This one leaves the region only
// if it must:
//
//	next := balance.RoundRobin[*Account]()
//	nearby := func(ctx context.Context, req *extract.Request, candidates []*Account) (*Account, error) {
//		var near []*Account
//		for _, a := range candidates {
//			if a.Region == region {
//				near = append(near, a)
//			}
//		}
//		if len(near) == 0 {
//			near = candidates
//		}
//		return next.Pick(ctx, req, near)
//	}
//	sel, err := affinity.New(affinity.Config[*Account]{
//		ID:       func(a *Account) string { return a.Name },
//		Fallback: affinity.PickerFunc[*Account](nearby),
//	})
//
// A function hides what it calls: LeastCost in place of RoundRobin would be told of no
// request but those that it places, and of no outcome. To restrict a balancer, embed it
// in a type of your own that has Place, and Pick by way of that: a Selector asks Place.
// The second example of the package does so.
package balance
