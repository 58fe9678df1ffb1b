// Package affinity keeps each LLM conversation on one upstream.
//
// Providers keep a prompt cache per account or replica. A gateway that spreads the
// turns of a conversation over several of them pays for the whole prompt again and
// again. A [Selector] finds out which conversation a request belongs to, remembers
// which target served it, and sends it there again for as long as that target is
// usable. Everything else it leaves to a picker of your choice.
//
//	            request                      candidates
//	               |                              |
//	               v                              v
//	extract: which session? --> Cache: its home? --> among the candidates? --yes--> home
//	               |                  |                      |
//	               no                 none                   no
//	               |                  |                      |
//	               +------------------+----------------------+--> fallback, whose
//	                                                              choice is the new home
//
// # Use
//
// A target may be of any type. Say what it is called, and who chooses where no session
// decides. Then ask for every request, and report what became of it:
//
//	sel, err := affinity.New(affinity.Config[*Account]{
//		ID:       func(a *Account) string { return a.Name },
//		Fallback: balance.RoundRobin[*Account](),
//	})
//	...
//	req, err := extract.FromHTTP(r, 0)
//	req.Scope = tenant
//	choice, err := sel.Select(ctx, req, usableAccounts)
//	...
//	status, err := send(r, choice.Target)
//	choice.Done(affinity.OutcomeOf(status, err))
//
// Package extract knows what clients send: ids in headers and bodies, and for
// those that send none, the messages themselves. Package balance has ready-made
// fallbacks. A Selector is a [Picker] too, so selectors nest.
//
// # Words
//
// A target is one upstream with a prompt cache of its own, such as an account or a replica,
// known by its ID. (API keys of one account mostly share its cache, and are one target.)
// The candidates are the targets that may serve one request. A session is a conversation,
// as an extractor names it. Its binding says which target is its home, and expires when it
// is not used for a TTL. While the home is not among the candidates, another target may
// serve as a detour. The fallback is the Picker that chooses where no binding does.
//
// # Rules
//
// Session with a binding: its home, if that is among the candidates, and the binding lives
// for another TTL. Neither the order of the candidates nor the fallback has a say, with
// one exception: a session that is known by its messages alone leaves a home that a
// [Balancer] calls overloaded ([ReasonOverload]).
//
// Home not among the candidates: failover. The session goes where it was before, if that
// target is a candidate and still likely to have its prompt. Otherwise the fallback
// chooses, so the sessions of a target that went away spread as new ones do.
// [Config.Failover] says whether the target that serves is the new home, or a detour
// until the home is back.
//
// Session idle for longer than its home keeps prompts: the fallback chooses a home anew.
// There is no prompt left to lose, and it is a chance to even out the load.
//
// Session without a binding: the extractor may name an earlier form of the same
// conversation, what started it, or a neighbour. The first of them that has a binding
// counts: the session is bound to the same target, or to the detour while that serves, and
// moves on its own from then on. If that is the target of what started it, or of a
// neighbour, it must still be likely to have the prompt and not be draining; nor may it be
// overloaded if the session is known by its messages alone. Otherwise the fallback chooses.
//
// Concurrent first requests of one session get one target, however long the fallback
// takes: one of them asks it, the others wait. If it fails, each of the others asks for
// itself.
//
// No session: the fallback chooses, and nothing is stored. (If the request refers to
// state whose place is known, it goes there: see below.)
//
// Session known by an id that names a conversation by custom only, such as
// prompt_cache_key: if more than about 64 conversations share the id, and extract.Trail is in
// the Chain, each is known by its messages instead. A conversation whose messages the server
// keeps is then known by the state that it continues, if that was learned
// ([Selection.Learn]), and otherwise by the id.
//
// No candidates, a fallback that fails, or one that chooses a target that is not among
// the candidates: an error, and all bindings stay as they were.
//
// # Candidates
//
// The caller knows which targets are healthy. Leave out of the candidates those that are
// down, are out of quota, lack the model that the request asks for, or were tried already.
// Where it takes a query to list the candidates, see [Selector.Peek].
//
// Where something else has chosen the target, such as a scheduler or the connection that a
// turn came in on, Select with that target as the only candidate. The session continues
// there (with [FailoverReturn], only until its home is among the candidates again).
//
// For a hedge, which is sent while the first attempt is still under way, ask the fallback
// itself: Select would move the session. If the hedge wins, Select with its target as the
// only candidate.
//
// Select last, when nothing else can refuse the request, such as a check of the client's
// balance: a [Balancer] counts it as sent, and its session may have moved. If targets take
// only so many requests at a time, take the place before, as in the example Slots of
// [Selector.Peek].
//
// # Outcomes
//
// [Selection.Done] tells what became of a request. Until then the binding does not expire, for
// up to an hour beyond the TTL. An outcome acts only on the binding that the selection came
// from: one that comes late, twice or never does no harm.
//
// Report the tokens as well ([Outcome].Usage). The Selector learns from them how long each
// target keeps prompts, and so how long a binding is worth following. A fallback that is a
// [Balancer], such as balance.LeastCost, learns how much work each target had lately, and
// places new sessions by that.
//
// # Operations
//
// [Selector.Drain] keeps new sessions away from a target. [Cache.MoveFunc] and
// [Cache.DeleteFunc] move and release sessions by target, by scope or one by one. A new
// configuration takes over the bindings through [Config.Cache]. Every Selection holds a
// [Decision], which is safe to log, and [Selector.Stats] counts decisions by [Reason].
//
// # Threads, side calls, state
//
// A session may have threads, such as the sub-agents of Claude Code and Codex. Each has a
// binding of its own and starts at the home of what started it, unless [Config.Threads] says
// otherwise.
//
// Side calls, such as token counts, titles and compactions, stand beside a conversation. They
// go where it is, but make, move and refresh no binding. [Config.SideCalls] changes that,
// and says how far bodies are read to tell such calls apart.
//
// A request may refer to state on its upstream, such as the response that it continues.
// Tell the Selector the ids that the upstream gives its responses ([Selection.Learn]). A
// request that refers to one then goes to that upstream, if it has no session or one without
// a home among the candidates. With [Config.FailPinned] it goes there in any case, and Select
// fails where that is not possible.
//
// # Scope
//
// A client chooses its session ids, so it could choose somebody else's.
// [extract.Request.Scope] keeps tenants apart: put in whom you have authenticated, and an
// id means something only within that scope. Or let [Config.Tenant] do so:
// extract.Credential tells clients apart by their keys.
//
// # Memory and time
//
// Bindings live in a [Cache]. It keeps keyed digests only, never an id. It holds at most a
// fixed number of bindings; when it is full, those that would expire first make room
// ([CacheConfig]). It has no long-lived goroutine, and no operation stops the whole table.
// A hit takes no lock, except as [Selector] says.
//
// A TTL is exact, with one exception: under heavy load, a TTL of a second or more
// may end a little early or late. See [Cache.Get].
//
// # What it does not do
//
// It sends no requests, checks no health and retries nothing; examples/gateway does so
// around it. It shares nothing between processes, and what it knows ends with the process.
// As the fallback, balance.Rendezvous places a session on the same target in every process
// and after every restart, since it needs to know nothing.
package affinity
