package affinity

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-affinity/affinity/extract"
	"github.com/go-affinity/affinity/internal/digest"
)

// A Picker chooses one target among candidates.
//
// A [Selector] has one as its fallback, which it asks where no binding decides. A
// Selector is a Picker itself, so selectors nest. Package balance has ready-made
// ones; any type with this method will do.
//
// Rules for implementers:
//   - Pick is called by many goroutines at once.
//   - The result must be one of the candidates. A Selector passes on those of its own
//     caller, without targets that are being drained and the one that the session is to
//     leave, unless none would remain. It accepts any target that its caller offered, even
//     one that it left out, and no other ([ErrNotCandidate]).
//   - The slice belongs to the caller: do not modify or keep it. Append makes a copy.
//   - req may be nil, and any of its fields empty. ctx is the one that Select was called
//     with, so its values can carry what else Pick has to know.
//   - An error means that none of the candidates can be chosen, or that Pick leaves the
//     choice to the caller of Select. The Selector then binds nothing, and Select returns
//     the error, wrapped.
//   - Pick should be quick. While it chooses for the first request of a session, other
//     requests of that session wait; those of other sessions do not.
//   - Pick must not call the Selector that is calling it for the same session: it would
//     wait for itself.
type Picker[T any] interface {
	Pick(ctx context.Context, req *extract.Request, candidates []T) (T, error)
}

// PickerFunc is an adapter to allow the use of ordinary functions as pickers.
type PickerFunc[T any] func(ctx context.Context, req *extract.Request, candidates []T) (T, error)

// Pick calls f(ctx, req, candidates).
func (f PickerFunc[T]) Pick(ctx context.Context, req *extract.Request, candidates []T) (T, error) {
	return f(ctx, req, candidates)
}

// Errors of [Selector.Select] and [Selector.Pick]; test for them with [errors.Is].
// None of them leaves a binding behind.
var (
	// ErrNoCandidates reports that the list of candidates was empty.
	ErrNoCandidates = errors.New("affinity: no candidates to select from")

	// ErrNotCandidate reports that the fallback chose a target that is not
	// among the candidates.
	ErrNotCandidate = errors.New("affinity: the fallback picked a target that is not among the candidates")

	// ErrNoID reports that Config.ID returned the empty string for the target
	// that a session was to be bound to.
	ErrNoID = errors.New("affinity: Config.ID returned an empty string for the target to bind")
)

// A PinnedError reports that a request refers to state on an upstream that it cannot be
// sent to. See [Config.FailPinned]. If you left the target out although it could serve,
// say because it costs extra, select again with it as the only candidate.
type PinnedError struct {
	// Target is the ID of the target that holds the state, which is not among the
	// candidates: the one that Selection.Learn was told, or else the session's home.
	Target string
}

// Error implements error.
func (e *PinnedError) Error() string {
	return "affinity: the request refers to state on target " + e.Target + ", which is not among the candidates"
}

// A Selection is the answer of [Selector.Select]: the chosen candidate, and the
// [Decision] that led to it. An error comes with the zero Selection, whose Done and Learn
// do nothing. Pass a pointer to it, not a copy (go vet reports copies): an outcome counts
// once for every copy.
type Selection[T any] struct {
	// Target is the chosen candidate.
	Target T

	Decision

	selector *Selector[T] // nil in the zero Selection
	within   digest.Sum   // of the request: see query
	at       located      // the record that was used or made, as this request left it; no target if none
	before   int64        // when that expired before this request used it; 0 if this request made it
	ttl      int64        // of the binding
	done     atomic.Bool
	learning atomic.Uint32 // how far learned is: notLearned and so on
	learned  *learned      // the id that was learned first; see learning
	leased   bool          // the binding is kept alive until Done
	stayed   bool          // the conversation's last request, Idle ago, went to this target too
	starters [2]Key        // of a thread that may take over a binding; zero if that is in kin
	kin      *kin          // nil if the session has no related records but those
	ticket   Ticket        // of the Balancer, if there is one
}

// Done reports what became of the request. Only the first call counts; it may come late,
// from any goroutine, or never. It acts only on the binding that the selection came from:
// if the session has moved or was invalidated since, its present binding stays as it is.
//
// The binding does not expire before Done, for up to an hour beyond the TTL, so the
// session stays where it is while an answer streams. (If more than thirty requests of
// one session come at the same instant, or in the same millisecond under heavy load, some
// rely on the others for this.) For a connection that may last longer, such as a
// WebSocket, make a selection for each of its turns, with its target as the only
// candidate. Defer Done where a panic may come first, as with httputil.ReverseProxy.
//
// Done writes Decision.Outcome and Decision.Reported: do not read them concurrently.
func (s *Selection[T]) Done(o Outcome) {
	if s.selector == nil || !s.done.CompareAndSwap(false, true) {
		return
	}
	if o.Result > TerminalFailure {
		o.Result = Neutral
	}
	s.Outcome, s.Reported = o, true
	s.selector.finish(s)
	if b := s.selector.balancer; b != nil { // last, since it may panic
		b.Settle(s.ID, s.ticket, o)
	}
}

// Learn notes that the target holds state under the given id, such as that of the
// response that it has just made; [extract.StateReader] finds such ids. A later request
// that names nothing but this state is sent to the target. It belongs to the session of
// this Selection or, if that has none, to one that is named by the first id that was
// learned. (Of concurrent first calls, each may name one.) Learn ignores an id that
// [extract.ID] does not accept, and any id if that of the target is empty. It may be called
// from any goroutine.
//
// An id means something only within the scope and tenant of the request. It takes a place
// in the Cache like a binding, and lives as long. The first id does not expire before Done
// either, so let it be that of the response itself.
func (s *Selection[T]) Learn(id string) {
	if id, ok := extract.ID(id); ok && s.selector != nil && s.ID != "" {
		s.selector.learn(s, id)
	}
}

// A Reason says why a request got its target. Every successful selection has exactly one
// of these; the zero Reason is none.
//
// To count hits and misses: ReasonBound, ReasonInherited, ReasonDetour, ReasonReturned and
// ReasonPinned are hits; ReasonNew, ReasonFailover, ReasonExpired and ReasonOverload are
// misses; ReasonNoSession and ReasonSideCall are neither.
type Reason uint8

const (
	// ReasonNoSession: no extractor named a session. The fallback chose, and nothing was
	// stored. (An id that extract.ID does not accept, such as "0", names no session.)
	ReasonNoSession Reason = iota + 1

	// ReasonBound: the session's home was among the candidates.
	ReasonBound

	// ReasonNew: the session had no binding. The fallback chose its home.
	ReasonNew

	// ReasonInherited: the session had no binding of its own and took over the target of
	// an earlier turn, its parent or a neighbour. Or the request is a side call, and goes
	// to the home of a session that a turn would have placed anew (ReasonExpired).
	ReasonInherited

	// ReasonFailover: the session's home was not among the candidates, or was
	// being drained past its deadline. Another target serves: the one where the
	// session was before, if that is likely to have its prompt still, or else the
	// fallback's choice. Config.Failover says whether that is the home from now on,
	// or a detour.
	ReasonFailover

	// ReasonDetour: the detour that served before served again. The session's home was
	// not among the candidates, had only just come back or was overloaded. Or the home was
	// being drained or no longer likely to have the prompt, and the detour is the home now.
	ReasonDetour

	// ReasonReturned: the session was on a detour and is back at its home, which is among
	// the candidates again.
	ReasonReturned

	// ReasonExpired: the session was idle for longer than its home keeps prompts. The
	// fallback chose a home anew, perhaps the same one.
	ReasonExpired

	// ReasonOverload: the session was recognised by its messages alone, and its
	// home had more than its share of the load. The session has moved to where it was
	// before, or to the fallback's choice.
	ReasonOverload

	// ReasonPinned: the request refers to state that the target holds. The target is the
	// session's home now, unless the session is named by that state, or the request is a
	// side call.
	ReasonPinned

	// ReasonSideCall: the request stands beside a conversation that is at none of the
	// candidates. The fallback chose, and nothing was stored.
	ReasonSideCall

	reasonsEnd // after the last of them
)

var reasons = [reasonsEnd]string{
	ReasonNoSession: "no-session",
	ReasonBound:     "bound",
	ReasonNew:       "new",
	ReasonInherited: "inherited",
	ReasonFailover:  "failover",
	ReasonDetour:    "detour",
	ReasonReturned:  "returned",
	ReasonExpired:   "expired",
	ReasonOverload:  "overload",
	ReasonPinned:    "pinned",
	ReasonSideCall:  "side-call",
}

// String returns the reason in lower case with hyphens, such as "no-session": fit for
// a header, a log field or a metric label.
func (r Reason) String() string {
	if r == 0 || r >= reasonsEnd {
		return "<unknown affinity.Reason>"
	}
	return reasons[r]
}

// MarshalText implements [encoding.TextMarshaler] by String. It makes JSON show names,
// also as the keys of a map.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// A Decision tells where a request went, and why. It holds no id that a client
// sent, nothing of a prompt and no credential, so it is safe to log:
// slog.Any("affinity", decision) makes a group of it.
type Decision struct {
	// ID is the ID of the chosen target, as Config.ID returned it.
	ID string

	// Reason says why the target was chosen.
	Reason Reason

	// From is the ID of the target that the session has left, or is away from. It is
	// set for ReasonFailover, ReasonDetour, ReasonReturned, ReasonExpired and
	// ReasonOverload, and for ReasonPinned if the session was elsewhere; else it is "".
	From string

	// Source says which signal named the session, and Confidence how far that signal
	// can be trusted, as in extract.Session. Source is "" if there is no session. Do not
	// make Source the label of a metric: clients can make up headers that become
	// sources, so their number is not bounded.
	Source     string
	Confidence extract.Confidence

	// Session stands for the session in logs, the same for all its turns and
	// threads. It is zero if there is no session.
	Session Digest

	// Conversations estimates how many conversations share the id in the request, if that
	// id is Conventional; else it is 0. More than a few mean that the id names no
	// conversation: the client sends it in all of them, and all of them go to one target.
	// But if the estimate is above 64, and extract.Trail is in the Chain, each is known by
	// its messages or, if it shows none, by the state that it continues. Up to a hundred,
	// the estimate is mostly within a quarter of the number; it is never above 384. Side
	// calls and sub-agents are not counted, since they begin differently.
	Conversations int

	// Idle is how long the conversation had not used the binding that this request
	// found. It is 0 if that is not known, if there was no binding, or if the binding was
	// that of another conversation or thread.
	Idle time.Duration

	// Outcome is what Selection.Done was told, and Reported whether it was called.
	Outcome  Outcome
	Reported bool
}

// LogValue implements [slog.LogValuer]. Empty fields are left out.
func (d Decision) LogValue() slog.Value {
	attrs := make([]slog.Attr, 0, 12)
	add := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	add("target", d.ID)
	if d.Reason != 0 { // it is 0 beside an error
		add("reason", d.Reason.String())
	}
	add("from", d.From)
	add("source", d.Source)
	if d.Source != "" {
		add("confidence", d.Confidence.String())
	}
	add("session", d.Session.String())
	if d.Conversations > 0 {
		attrs = append(attrs, slog.Int("conversations", d.Conversations))
	}
	if d.Idle > 0 {
		attrs = append(attrs, slog.Duration("idle", d.Idle))
	}
	if d.Reported {
		add("result", d.Outcome.Result.String())
	}
	if u := d.Outcome.Usage; u != (Usage{}) {
		attrs = append(attrs,
			slog.Int("uncached", u.Uncached),
			slog.Int("cached", u.Cached),
			slog.Int("output", u.Output),
			slog.Float64("cost", u.Cost()))
	}
	return slog.GroupValue(attrs...)
}

// Stats counts what a [Selector] has done since it was made. The maps have all possible
// keys, even those whose count is 0.
type Stats struct {
	// Selected counts the calls of Select and Pick that chose a target, by the
	// reason, and Failed those that returned an error.
	Selected map[Reason]uint64
	Failed   uint64

	// Outcomes counts the outcomes that were reported to Selection.Done.
	Outcomes map[Result]uint64
}

// An Outcome is what became of a request, as the caller of [Selector.Select]
// reports it to [Selection.Done]. The zero Outcome is neutral.
type Outcome struct {
	Result Result

	// Usage is what the request cost, if that is known.
	Usage Usage
}

// Usage is what a request cost its target, in tokens, as the target's response
// says. The zero Usage means that it is not known.
type Usage struct {
	Uncached int // tokens of the prompt that were not read from the target's cache, including those that were written to it
	Cached   int // tokens of the prompt that were read from the target's cache
	Output   int // tokens of the answer
}

// Cost weighs the tokens as the providers' prices do, in units of one uncached token:
// a cached token costs 0.1 and a token of the answer 5.
func (u Usage) Cost() float64 {
	return float64(u.Uncached) + 0.1*float64(u.Cached) + 5*float64(u.Output)
}

// A Balancer is a [Picker] that places by load, and so has to know of every
// request, including those that a [Selector] sends to their session's home without
// asking it. A Selector whose fallback is a Balancer tells it of all of them.
//
// For each request, the Selector calls Place or Charge, and for each Ticket that it gets
// at most one of Settle and Cancel. A request that does not go where Place has sent it gets
// several tickets, say because it lost a race to another request of its session, or
// stays at home. All but the last are canceled. The rules for pickers apply. All methods
// are called by many goroutines at once.
type Balancer[T any] interface {
	Picker[T]

	// Place is Pick for a request that Settle or Cancel may follow. It charges the
	// chosen target at once with what the request is likely to cost, so that concurrent
	// placements see each other.
	Place(ctx context.Context, req *extract.Request, candidates []T) (T, Ticket, error)

	// Charge notes that req goes to the target with that ID, which Place did not
	// choose. warm says that the target is expected to have all but the last turn of
	// the prompt in its cache. req may be nil.
	Charge(req *extract.Request, id string, warm bool) Ticket

	// Settle reports what became of a request that Place or Charge gave the ticket
	// for. It may never come: the Selector's caller need not report outcomes.
	Settle(id string, ticket Ticket, o Outcome)

	// Cancel takes back a Place or Charge: the request does not go to that target
	// after all.
	Cancel(id string, ticket Ticket)

	// Overloaded reports whether the target has so much more than its share
	// that it should take no new sessions while others can.
	Overloaded(id string) bool
}

// A Ticket is what a [Balancer] notes about a request under way, and gets back when
// the request ends. A Selector only carries it; the fields mean what the Balancer
// wants them to mean.
type Ticket struct {
	Time int64
	Cost float64
	Memo [2]uint64
}

// A Result is the kind of an [Outcome].
type Result uint8

const (
	// Neutral says nothing about the target: the client went away, or its
	// request was at fault. Bindings stay as they are.
	Neutral Result = iota

	// Served: the target answered. The binding lives for another TTL from now. Where
	// turns have bindings of their own, so does that of the turn before, whose prompt
	// is part of this one.
	Served

	// TransientFailure: the target failed or refused for now (429, 5xx, a broken
	// connection). The binding stays: to have the session fail over, leave the target out
	// of the candidates. But the request does not count as a use: the binding ends when it
	// would have ended without it, unless another request has used it since or is under
	// way, or that time is past. A binding that the request itself made ends a TTL after it
	// was made, or at once if that was a failover (ReasonFailover), no other request has
	// used it, and no Usage is reported: then the session is back where it was.
	TransientFailure

	// TerminalFailure: the target is of no use to this session any more (a revoked
	// credential, an empty account) or never was (see FailoverReturn). The binding is
	// removed, and so are bindings of the session to that target that it would
	// otherwise take over.
	TerminalFailure
)

var results = [...]string{
	Neutral:          "neutral",
	Served:           "served",
	TransientFailure: "transient-failure",
	TerminalFailure:  "terminal-failure",
}

// String returns the result in lower case with hyphens.
func (r Result) String() string {
	if int(r) >= len(results) {
		return "<unknown affinity.Result>"
	}
	return results[r]
}

// MarshalText implements [encoding.TextMarshaler] by String. It makes JSON show names,
// also as the keys of a map.
func (r Result) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// OutcomeOf classifies the answer of an HTTP upstream by its status code, or by the
// error that came instead. The first row that fits counts. Usage is left zero.
//
//	error: context.Canceled                 Neutral (the client left)
//	error: any other                        TransientFailure
//	401, 402, 403                           TerminalFailure (the credential)
//	408, 425, 429                           TransientFailure
//	5xx (with 529, Anthropic's overloaded)  TransientFailure
//	1xx, 2xx, 3xx                           Served
//	any other                               Neutral (the request's own fault)
//
// Where clients bring credentials of their own, 401 to 403 say nothing about the target:
// report Neutral then.
func OutcomeOf(status int, err error) Outcome {
	result := Neutral
	switch {
	case errors.Is(err, context.Canceled):
	case err != nil:
		result = TransientFailure
	case status == http.StatusUnauthorized, status == http.StatusPaymentRequired, status == http.StatusForbidden:
		result = TerminalFailure
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests, status/100 == 5:
		result = TransientFailure
	case status >= 100 && status < 400:
		result = Served
	}
	return Outcome{Result: result}
}
