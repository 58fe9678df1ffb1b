// Package balance has ready-made pickers for what a Selector has to place: a
// request without a session, a new session, and one whose home is gone.
//
//	LeastCost    where the least work went lately: evens out work, with nothing to measure
//	Prefix       the same, weighed against what each target has in its cache
//	PowerOfTwo   the less loaded of two: for a measure of load of your own
//	Rendezvous   by hash: gateways that share nothing agree on the target of a key
//	Weighted     in proportion to a weight: targets of different size or quota
//	FillFirst    the first: your order is the priority
//	RoundRobin   each in turn: all targets get the same number of picks
//	Random       any: even in the long run, and no state that goroutines share
//
// Take LeastCost unless there is a reason not to. Sessions differ in work by orders
// of magnitude, so equal numbers of them are not equal work; and the number of
// requests in flight is 0 or 1 most of the time, so it says little.
//
// Take Prefix if many sessions begin with the same long prompt (the same agent,
// branches, sub-agents), if clients do not say which session they belong to, or if
// targets come and go. It reads the body of every request.
//
// Take PowerOfTwo if you have a better measure of load than work, such as
// what is left of a quota. Take Rendezvous if several processes, or one process
// after a restart, are to place a session on the same target.
//
// # Balancers
//
// LeastCost and Prefix are balancers ([affinity.Balancer]). A Selector whose
// fallback is a balancer tells it of every request and of every outcome that is
// reported, including those of sessions that stay where they are. So it is enough
// to report what requests have used:
//
//	choice.Done(affinity.Outcome{Result: affinity.Served, Usage: usage})
//
// A balancer works by what it remembers, so hand the same one to the new Selector when the
// configuration changes.
//
// # What they have in common
//
// Every picker here answers with one of the candidates, or with
// [affinity.ErrNoCandidates] if there are none; that is its only error. It looks
// at the candidates of this one call, so targets may come and go, and lists may
// differ from call to call. The request may be nil.
//
// All are safe for concurrent use. LeastCost and Prefix take locks that are held
// for microseconds, and remember a bounded number of targets by their IDs. The
// others take no lock and remember nothing about targets.
//
// Picking among targets that are known allocates nothing, except for the boundaries that
// Prefix finds in a body and, where MaxShare is set, for a copy of the list of candidates
// when it has changed.
//
// Pick calls the functions that you hand to a constructor, on its goroutine, so many
// goroutines may call them at once. They should be quick. (Balancers call theirs in their
// other methods as well, and CostConfig.Cost in the constructor.) The constructor panics if
// a function that is not optional is nil.
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
// To restrict a balancer, embed it in a type of your own and give that a Place, which is
// what a Selector calls, and a Pick that calls Place, as the example Balancer does. A
// function would hide the methods of what it calls: with LeastCost in place of RoundRobin
// here, the Selector would not see a Balancer, and LeastCost would be told only of the
// requests that it places, and of no outcome.
package balance
