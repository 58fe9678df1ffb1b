package extract_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
)

// A signal is one way in which a request may name its session.
type signal struct {
	name       string
	header     [2]string
	member     [2]string // of the body
	source, id string    // id "" stands for the trail
}

// request returns a request with all of the signals, or false if two of them
// exclude each other.
func request(signals ...signal) (*extract.Request, bool) {
	h, members := http.Header{}, []string{"model", `"m"`}
	seen := map[string]bool{}
	for _, s := range signals {
		for _, name := range []string{s.header[0], s.member[0]} {
			if name != "" && seen[name] {
				return nil, false
			}
			seen[name] = true
		}
		if s.header[0] != "" {
			h.Set(s.header[0], s.header[1])
		}
		if s.member[0] != "" {
			members = append(members, s.member[:]...)
		}
	}
	return &extract.Request{Header: h, Body: []byte(object(members...))}, true
}

var (
	claudeHeader = signal{"Claude Code's header", [2]string{"X-Claude-Code-Session-Id", "claude-1"}, [2]string{}, "claude-code", "claude-1"}
	claudeBody   = signal{"Claude Code's user_id", [2]string{}, [2]string{"metadata", `{"user_id":` + quote(`{"session_id":"claude-2"}`) + `}`}, "claude-code", "claude-2"}
	claudeProto  = signal{"Claude Code's user_id in Anthropic's protocol", [2]string{"Anthropic-Version", "2023-06-01"}, claudeBody.member, "claude-code", "claude-2"}
	claudeOld    = signal{"Claude Code's old user_id", [2]string{}, [2]string{"metadata", `{"user_id":"user_ab_account__session_` + uuid + `"}`}, "claude-code", uuid}
	sessionID    = signal{"X-Session-ID", [2]string{"X-Session-Id", "x-1"}, [2]string{}, "x-session-id", "x-1"}
	threadID     = signal{"Thread-Id", [2]string{"Thread-Id", "t-1"}, [2]string{}, "thread-id", "t-1"}
	vendorID     = signal{"a vendor's header", [2]string{"X-Acme-Session-Id", "v-1"}, [2]string{}, "x-acme-session-id", "v-1"}
	conversation = signal{"conversation_id", [2]string{}, [2]string{"conversation_id", `"c-1"`}, "conversation_id", "c-1"}
	cacheKey     = signal{"prompt_cache_key", [2]string{}, [2]string{"prompt_cache_key", `"k-1"`}, "prompt_cache_key", "k-1"}
	previous     = signal{"previous_response_id", [2]string{}, [2]string{"previous_response_id", `"resp_1"`}, "state", "resp_1"}
	plainUser    = signal{"another user_id", [2]string{}, [2]string{"metadata", `{"user_id":"u-1"}`}, "metadata.user_id", "u-1"}
	messages     = signal{"messages", [2]string{}, [2]string{"messages", `[{"role":"user","content":"hi"}]`}, "trail", ""}
)

// requireOrder checks that of every two signals the upper one decides, in
// whatever order the members of the body stand.
func requireOrder(t *testing.T, e extract.Extractor, signals []signal) {
	for i, upper := range signals {
		for _, lower := range signals[i+1:] {
			t.Run(upper.name+" goes before "+lower.name, func(t *testing.T) {
				t.Parallel()
				for _, both := range [][]signal{{upper, lower}, {lower, upper}} {
					r, ok := request(both...)
					if !ok {
						t.Skip("a request has one of them")
					}
					s, ok := e.Extract(r)
					require.True(t, ok)
					require.Equal(t, upper.source, s.Source)
					if upper.id != "" {
						require.Equal(t, upper.id, s.ID)
					}
				}
			})
		}
	}
}

func TestDefault(t *testing.T) {
	t.Parallel()
	requireOrder(t, extract.Default(), []signal{claudeHeader, claudeProto, sessionID, threadID, conversation, cacheKey, previous, plainUser, messages})
	requireOrder(t, extract.Default(), []signal{claudeHeader, sessionID, vendorID, claudeBody, conversation, messages})
	requireOrder(t, extract.Default(), []signal{claudeHeader, threadID, vendorID, claudeOld, cacheKey, messages})
}

func TestClassic(t *testing.T) {
	t.Parallel()
	conversation := conversation
	conversation.source = "body:conversation_id"
	requireOrder(t, extract.Classic(), []signal{claudeBody, sessionID, plainUser, conversation, messages})
	requireOrder(t, extract.Classic(), []signal{claudeOld, sessionID, conversation, messages})
	requireOrder(t, extract.Classic(), []signal{claudeProto, sessionID, conversation, messages})

	t.Run("knows nothing else", func(t *testing.T) {
		t.Parallel()
		for _, s := range []signal{claudeHeader, threadID, vendorID, cacheKey, previous} {
			r, _ := request(s)
			requireSession(t, extract.Classic(), r, "", "")
		}
	})
}

// The conversations of one user are told apart, however they are named.
func TestConversationsOfOneUser(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, body string }{
		{"conversation_id", `{"metadata":{"user_id":"u"},"conversation_id":"c-%d"}`},
		{"session_id", `{"session_id":"c-%d","metadata":{"user_id":"u"}}`},
		{"metadata.session_id", `{"metadata":{"user_id":"u","session_id":"c-%d"}}`},
		{"prompt_cache_key", `{"metadata":{"user_id":"u"},"prompt_cache_key":"c-%d"}`},
		{"conversation", `{"metadata":{"user_id":"u"},"conversation":{"id":"c-%d"}}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for i := range 2 {
				s, ok := extract.Default().Extract(&extract.Request{Body: fmt.Appendf(nil, test.body, i)})
				require.True(t, ok)
				require.Equal(t, fmt.Sprintf("c-%d", i), s.ID)
			}
		})
	}
}

// Presets are the caller's to change.
func TestPresetsAreNotShared(t *testing.T) {
	t.Parallel()
	for _, preset := range []func() extract.Chain{extract.Default, extract.Classic} {
		preset()[0] = extract.Header("X-Other")
		r, _ := request(claudeProto)
		requireSession(t, preset(), r, "claude-code", "claude-2")
	}
}

// Many goroutines may look at one request.
func TestOneRequestForManyGoroutines(t *testing.T) {
	t.Parallel()
	for _, s := range []signal{claudeHeader, claudeBody, sessionID, cacheKey, plainUser, messages} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			r, _ := request(s)
			want, ok := extract.Default().Extract(&extract.Request{Header: r.Header, Body: r.Body})
			require.True(t, ok)
			got := make([]extract.Session, 64)
			chain := extract.Default()
			var wg sync.WaitGroup
			for i := range got {
				wg.Go(func() {
					got[i], _ = chain.Extract(r)
					r.Class()
					r.Opening()
					r.Pins()
					r.Boundaries()
					extract.Credential(r)
					extract.Body("metadata.user_id").Extract(r)
				})
			}
			wg.Wait()
			for _, g := range got {
				require.Equal(t, want, g)
			}
		})
	}
}

// A header decides without a look at the body, and costs nothing.
func TestHeaderHitsDoNotAllocate(t *testing.T) {
	body := []byte(`{"messages":[{"role":"user","content":"hi"}],"metadata":{"user_id":"u"}}`)
	for _, test := range []struct {
		name string
		e    extract.Extractor
		h    http.Header
	}{
		{"Claude Code", extract.Default(), header("X-Claude-Code-Session-Id", uuid, "Anthropic-Version", "2023-06-01", "X-App", "cli")},
		{"Claude Code with an agent", extract.Default(), header("X-Claude-Code-Session-Id", uuid, "X-Claude-Code-Agent-Id", "a1e37403a36fc420c")},
		{"X-Session-ID", extract.Default(), header("X-Session-Id", uuid, "Accept", "*/*")},
		{"Codex", extract.Default(), header("Session-Id", uuid, "Thread-Id", uuid, "Accept", "*/*")},
		{"Header", extract.Header("X-Session-ID"), header("X-Session-Id", uuid)},
		{"a header in lower case", extract.Header("X-Session-ID"), header("x-session-id", uuid, "accept", "*/*")},
		{"no header", extract.Headers(), header("Accept", "*/*", "Content-Type", "application/json", "Authorization", "Bearer x")},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := &extract.Request{Header: test.h, Body: body}
			allocs := testing.AllocsPerRun(100, func() { test.e.Extract(r) })
			require.Zero(t, allocs)
		})
	}
	e, r := extract.Default(), &extract.Request{Header: header("X-Acme-Session-Id", uuid, "Accept", "*/*")}
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { e.Extract(r) }), 1.0, "the source")
}

// In Anthropic's protocol, Claude Code's user_id goes before other headers; else
// a header is worth more than a look at the body.
func TestClaudeUserIDBeforeHeaders(t *testing.T) {
	t.Parallel()
	const id = "ca40aa6d-4238-464e-98df-6ba3e9377c6e"
	for want, r := range map[string]*extract.Request{
		"claude-code":  {Path: "/v1/messages"},
		"x-session-id": {Path: "/v1/chat/completions"},
	} {
		r.Header = http.Header{"X-Session-Id": {"s"}}
		r.Body = []byte(`{"metadata":{"user_id":"user_00ff_account__session_` + id + `"}}`)
		s, ok := extract.Default().Extract(r)
		require.True(t, ok)
		require.Equal(t, want, s.Source)
	}
}
