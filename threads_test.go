package affinity_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/balance"
	"github.com/go-affinity/affinity/extract"
)

func claudeAgent(session, agent, parent string) *extract.Request {
	h := http.Header{"X-Claude-Code-Session-Id": {session}}
	if agent != "" {
		h.Set("X-Claude-Code-Agent-Id", agent)
	}
	if parent != "" {
		h.Set("X-Claude-Code-Parent-Agent-Id", parent)
	}
	return &extract.Request{Header: h}
}

func openCode(session, parent string) *extract.Request {
	h := http.Header{"X-Session-Id": {session}}
	if parent != "" {
		h.Set("X-Parent-Session-Id", parent)
	}
	return &extract.Request{Header: h}
}

// Sub-agents have bindings of their own.
func TestThreadsStartAtTheirSession(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{})
	all := []string{"a", "b", "c", "d"}
	mustSelect(t, s, session("other"), all...)
	main := mustSelect(t, s, claudeAgent("s1", "", ""), all...)
	child := mustSelect(t, s, claudeAgent("s1", "a1", ""), all...)
	require.Equal(t, affinity.ReasonInherited, child.Reason)
	require.Equal(t, main.Target, child.Target)
	require.Equal(t, main.Session, child.Session, "one session to whoever reads the log")

	// The sub-agent moves alone, and what it starts goes with it.
	moved := mustSelect(t, s, claudeAgent("s1", "a1", ""), "d")
	require.Equal(t, affinity.ReasonFailover, moved.Reason)
	grandchild := mustSelect(t, s, claudeAgent("s1", "a2", "a1"), all...)
	require.Equal(t, "d", grandchild.Target)
	require.Equal(t, main.Target, mustSelect(t, s, claudeAgent("s1", "", ""), all...).Target)
	require.Equal(t, main.Target, mustSelect(t, s, claudeAgent("s1", "a3", "never seen"), all...).Target)
}

func TestThreadsShare(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{Threads: affinity.ThreadsShare})
	all := []string{"a", "b", "c", "d"}
	mustSelect(t, s, claudeAgent("s1", "", ""), all...)
	require.Equal(t, affinity.ReasonBound, mustSelect(t, s, claudeAgent("s1", "a1", ""), all...).Reason)
	mustSelect(t, s, claudeAgent("s1", "a1", ""), "d")
	require.Equal(t, "d", mustSelect(t, s, claudeAgent("s1", "", ""), all...).Target, "they move together")
	require.Equal(t, map[string]int{"d": 1}, s.Cache().Counts())

	mustSelect(t, s, openCode("ses_1", ""), all...)
	require.Equal(t, affinity.ReasonBound, mustSelect(t, s, openCode("ses_2", "ses_1"), all...).Reason)
}

func TestThreadsSpread(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{Threads: affinity.ThreadsSpread})
	all := []string{"a", "b", "c", "d"}
	mustSelect(t, s, claudeAgent("s1", "", ""), all...)
	for i := range 7 {
		sel := mustSelect(t, s, claudeAgent("s1", fmt.Sprint("agent-", i), ""), all...)
		require.Equal(t, affinity.ReasonNew, sel.Reason)
	}
	require.Equal(t, map[string]int{"a": 2, "b": 2, "c": 2, "d": 2}, s.Counts())
	mustSelect(t, s, openCode("ses_1", ""), all...)
	require.Equal(t, affinity.ReasonNew, mustSelect(t, s, openCode("ses_2", "ses_1"), all...).Reason, "it is a thread in all but name")
}

// All threads of a session are in one, also of a session that has its identity from an
// earlier turn.
func TestThreadsOfALaterTurn(t *testing.T) {
	t.Parallel()
	x := new(scripted)
	s := newSelector(t, affinity.Config[string]{Extractor: x})
	var first affinity.Digest
	for _, sess := range []extract.Session{
		{ID: "1"},
		{ID: "2", Continues: []string{"1"}},
		{ID: "2", Continues: []string{"1"}, Thread: "t"},
		{ID: "2", Continues: []string{"1"}, Thread: "u", ParentThread: "t"},
		{ID: "2", Thread: "v"},
		{ID: "2", Thread: "w", ParentThread: "v"},
	} {
		sess.Source = "x"
		x.now = sess
		sel := mustSelect(t, s, new(extract.Request), "a", "b")
		if first == 0 {
			first = sel.Session
		}
		require.Equal(t, first, sel.Session, "%+v", sess)
	}
}

// What a thread that was placed by itself has, it has by itself.
func TestSpreadThreadsEndAlone(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*affinity.Selector[string], *affinity.Selection[string]) bool{
		"Invalidate": func(s *affinity.Selector[string], _ *affinity.Selection[string]) bool {
			return s.Invalidate(claudeAgent("s1", "a2", "a1"))
		},
		"TerminalFailure": func(_ *affinity.Selector[string], sel *affinity.Selection[string]) bool {
			sel.Done(affinity.Outcome{Result: affinity.TerminalFailure})
			return true
		},
	} {
		s := newSelector(t, affinity.Config[string]{Threads: affinity.ThreadsSpread})
		mustSelect(t, s, claudeAgent("s1", "", ""), "z")
		mustSelect(t, s, claudeAgent("s1", "a1", ""), "z")
		require.False(t, s.Invalidate(claudeAgent("s1", "a2", "a1")), "there is none")
		require.True(t, end(s, mustSelect(t, s, claudeAgent("s1", "a2", "a1"), "z")), name)
		for agent, want := range map[string]bool{"": true, "a1": true, "a2": false} {
			_, ok := s.Peek(claudeAgent("s1", agent, ""))
			require.Equal(t, want, ok, "%s: agent %q", name, agent)
		}
	}
}

// A sub-agent of OpenCode is a session of its own that names its parent.
func TestChildSessionStartsAtItsParent(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{})
	all := []string{"a", "b", "c", "d"}
	parent := mustSelect(t, s, openCode("ses_1", ""), all...)
	mustSelect(t, s, session("other"), all...)
	child := mustSelect(t, s, openCode("ses_2", "ses_1"), all...)
	require.Equal(t, parent.Target, child.Target)
	require.Equal(t, affinity.ReasonInherited, child.Reason)
	require.Equal(t, mustPeek(t, s, openCode("ses_4", "ses_1")).Session, mustSelect(t, s, openCode("ses_4", "ses_1"), all...).Session, "as Peek says")
	require.NotEqual(t, parent.Session, child.Session)
	require.Equal(t, affinity.ReasonNew, mustSelect(t, s, openCode("ses_3", "unknown"), all...).Reason)
}

// A thread of a fork starts where its own session is, not where that came from.
func TestThreadOfAChildSession(t *testing.T) {
	t.Parallel()
	x := new(scripted)
	s := newSelector(t, affinity.Config[string]{Extractor: x})
	x.now = extract.Session{Source: "x", ID: "parent"}
	mustSelect(t, s, new(extract.Request), "a")
	x.now = extract.Session{Source: "x", ID: "fork", Parent: "parent"}
	mustSelect(t, s, new(extract.Request), "b")
	x.now.Thread = "t"
	require.Equal(t, "b", mustSelect(t, s, new(extract.Request), "a", "b").Target)
}

// The threads of Codex: the main one has the id of the session.
func TestCodexThreads(t *testing.T) {
	t.Parallel()
	const root, review = "01a205d8-a205-75d3-8300-1184621f7203", "01a205d9-0000-75d3-8300-1184621f7203"
	s := newSelector(t, affinity.Config[string]{})
	codex := func(thread, subagent string) *extract.Request {
		h := http.Header{"Session-Id": {root}, "Thread-Id": {thread}, "X-Client-Request-Id": {thread}}
		if subagent != "" {
			h.Set("X-Openai-Subagent", subagent)
			h.Set("X-Codex-Parent-Thread-Id", root)
		}
		return &extract.Request{Header: h}
	}
	main := mustSelect(t, s, codex(root, ""), "a", "b")
	require.Equal(t, 1, s.Cache().Len())
	child := mustSelect(t, s, codex(review, "review"), "a", "b")
	require.Equal(t, main.Target, child.Target)
	require.Equal(t, affinity.ReasonInherited, child.Reason)
	require.Equal(t, 2, s.Cache().Len())
}

// Side calls follow a binding; they do not make, move or refresh one.
func TestSideCallsLeaveNoTrace(t *testing.T) {
	t.Parallel()
	count := func() *extract.Request {
		req := session("s")
		req.Path = "/v1/messages/count_tokens"
		return req
	}
	title := func() *extract.Request {
		req := session("s")
		req.Body = []byte(`{"messages":[{"role":"system","content":"You will generate a short title based on the first message a user begins a conversation with"},{"role":"user","content":"x"}]}`)
		return req
	}
	for name, call := range map[string]func() *extract.Request{"by its path": count, "by its body": title} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSelector(t, affinity.Config[string]{})
			sel := mustSelect(t, s, call(), "a", "b")
			require.Equal(t, affinity.ReasonSideCall, sel.Reason)
			sel.Done(affinity.Outcome{Result: affinity.Served})
			require.Zero(t, s.Cache().Len())

			main := mustSelect(t, s, session("s"), "a", "b")
			require.Equal(t, affinity.ReasonNew, main.Reason)
			follows := mustSelect(t, s, call(), "a", "b")
			require.Equal(t, main.Target, follows.Target)
			require.Equal(t, main.Session, follows.Session)

			other := "b"
			if main.Target == "b" {
				other = "a"
			}
			away := mustSelect(t, s, call(), other)
			require.Equal(t, affinity.ReasonSideCall, away.Reason)
			require.Equal(t, main.Session, away.Session)
			require.Equal(t, main.Target, mustSelect(t, s, session("s"), "a", "b").Target, "it did not move the session")

			all := newSelector(t, affinity.Config[string]{SideCalls: true})
			require.Equal(t, affinity.ReasonNew, mustSelect(t, all, call(), "a", "b").Reason)
			require.Equal(t, affinity.ReasonBound, mustSelect(t, all, session("s"), "a", "b").Reason)
		})
	}
}

// Whatever becomes of a side call that goes elsewhere, its session stays at home.
func TestSideCallThatFailsElsewhere(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{})
	mustSelect(t, s, session("s"), "a").Done(affinity.Outcome{Result: affinity.Served})
	before := mustPeek(t, s, session("s"))
	count := session("s")
	count.Path = "/v1/messages/count_tokens"
	for _, r := range []affinity.Result{affinity.Served, affinity.TransientFailure, affinity.TerminalFailure} {
		mustSelect(t, s, count, "b").Done(affinity.Outcome{Result: r})
		require.Equal(t, before, mustPeek(t, s, session("s")), r)
	}
}

// A large body is not read to tell whether the request makes or moves the binding of a
// session that has an id.
func TestLargeSideCallByItsBody(t *testing.T) {
	t.Parallel()
	title := session("s")
	sized := func(size int) []byte {
		const head, tail = `{"messages":[{"role":"system","content":"You will generate a short title based on the first message a user begins a conversation with"},{"role":"user","content":"`, `"}]}`
		return []byte(head + strings.Repeat("x", size-len(head+tail)) + tail)
	}
	title.Body = sized(20 << 10)
	unnamed := &extract.Request{Body: title.Body}
	s := newSelector(t, affinity.Config[string]{})
	sel := mustSelect(t, s, unnamed, "a", "b")
	require.Equal(t, affinity.ReasonSideCall, sel.Reason)
	require.Equal(t, extract.Derived, sel.Confidence)
	require.Zero(t, s.Cache().Len())
	require.Equal(t, affinity.ReasonNew, mustSelect(t, s, title, "a").Reason)
	require.Equal(t, affinity.ReasonFailover, mustSelect(t, s, title, "b").Reason)

	// One of 16 kB is, and one that its path tells apart need not be.
	for size, want := range map[int]affinity.Reason{16 << 10: affinity.ReasonSideCall, 16<<10 + 1: affinity.ReasonNew} {
		req := session(fmt.Sprint(size))
		req.Body = sized(size)
		require.Equal(t, want, mustSelect(t, s, req, "a").Reason, size)
	}
	title = &extract.Request{Header: session("new").Header, Body: title.Body, Path: "/v1/messages/count_tokens"}
	require.Equal(t, affinity.ReasonSideCall, mustSelect(t, s, title, "a").Reason)
}

// Where nobody can be chosen, a side call fails as any other request does.
func TestSideCallOfAFallbackThatFails(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	s := newSelector(t, affinity.Config[string]{Fallback: affinity.PickerFunc[string](func(context.Context, *extract.Request, []string) (string, error) {
		return "", boom
	})})
	req := session("s")
	req.Path = "/v1/messages/count_tokens"
	sel, err := s.Select(t.Context(), req, []string{"a", "b"})
	require.ErrorIs(t, err, boom)
	require.Empty(t, sel.ID)
	require.EqualValues(t, 1, s.Stats().Failed)
}

// A side call without an id of its own goes where its conversation is.
func TestSideCallOfATrail(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{Fallback: balance.RoundRobin[string]()})
	const chat = `{"role":"user","content":"hello"},{"role":"assistant","content":"hi"}`
	main := mustSelect(t, s, &extract.Request{Body: []byte(`{"messages":[{"role":"user","content":"hello"}]}`)}, "a", "b", "c")
	n := s.Cache().Len()
	title := mustSelect(t, s, &extract.Request{Body: []byte(`{"messages":[` + chat +
		`,{"role":"user","content":"Please write a 5-10 word title for the following conversation:"}]}`)}, "a", "b", "c")
	require.Equal(t, main.Target, title.Target)
	require.Equal(t, n, s.Cache().Len())
}

// A Lifetime is told of the parent, which is not looked up for a session at home.
func TestLifetimeKnowsTheParent(t *testing.T) {
	t.Parallel()
	var told []extract.Session
	s := newSelector(t, affinity.Config[string]{Lifetime: func(s extract.Session) time.Duration {
		told = append(told, s)
		return time.Hour
	}})
	req := &extract.Request{Header: http.Header{"X-Session-Id": {"child"}, "X-Parent-Session-Id": {"parent"}}}
	for range 2 {
		mustSelect(t, s, req, "a")
	}
	require.Len(t, told, 2)
	for _, s := range told {
		require.Equal(t, "parent", s.Parent)
		require.Equal(t, extract.Subagent, s.Class)
	}
}
