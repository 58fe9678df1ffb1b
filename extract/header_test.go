package extract_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
)

func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h[pairs[i]] = append(h[pairs[i]], pairs[i+1])
	}
	return h
}

// requireSession extracts many times, since maps are walked in any order.
func requireSession(t *testing.T, e extract.Extractor, r *extract.Request, source, id string) {
	t.Helper()
	for range 25 {
		s, ok := e.Extract(r)
		require.Equal(t, id != "", ok, "found %q from %q", s.ID, s.Source)
		require.Equal(t, id, s.ID)
		require.Equal(t, source, s.Source)
	}
}

func TestHeader(t *testing.T) {
	t.Parallel()
	one := extract.Header("X-Session-ID")
	two := extract.Header("X-First", "x_second")
	for _, test := range []struct {
		name       string
		e          extract.Extractor
		header     http.Header
		source, id string
	}{
		{"canonical name", one, header("X-Session-Id", "a"), "x-session-id", "a"},
		{"name as in the specification", one, header("X-Session-ID", "a"), "x-session-id", "a"},
		{"lower case", one, header("x-session-id", "a"), "x-session-id", "a"},
		{"upper case", one, header("X-SESSION-ID", "a"), "x-session-id", "a"},
		{"mixed case", one, header("x-SESSION-Id", "a"), "x-session-id", "a"},
		{"among others", one, header("Accept", "*/*", "x-session-id", "a", "Host", "b"), "x-session-id", "a"},
		{"value with white space", one, header("X-Session-Id", " a\t"), "x-session-id", "a"},
		{"uuid in upper case", one, header("X-Session-Id", strings.ToUpper(uuid)), "x-session-id", uuid},

		{"underscore is not hyphen", one, header("X_Session_Id", "a"), "", ""},
		{"longer name", one, header("X-Session-Id-Old", "a"), "", ""},
		{"a vendor's, as long as it", one, header("X-Ab-Chat-Id", "a"), "", ""},
		{"shorter name", one, header("Session-Id", "a"), "", ""},
		{"nil header", one, nil, "", ""},
		{"empty header", one, http.Header{}, "", ""},
		{"nil values", one, http.Header{"X-Session-Id": nil}, "", ""},
		{"no values", one, http.Header{"X-Session-Id": {}}, "", ""},
		{"no values in lower case", one, http.Header{"x-session-id": {}}, "", ""},
		{"empty value", one, header("X-Session-Id", ""), "", ""},
		{"placeholder", one, header("X-Session-Id", "undefined"), "", ""},
		{"newline in value", one, header("X-Session-Id", "a\nb"), "", ""},
		{"100 KB", one, header("X-Session-Id", strings.Repeat("a", 100<<10)), "", ""},

		{"same value twice", one, header("X-Session-Id", "a", "X-Session-Id", "a"), "x-session-id", "a"},
		{"two values", one, header("X-Session-Id", "a", "X-Session-Id", "b"), "", ""},
		{"a value and an empty one", one, header("X-Session-Id", "a", "X-Session-Id", ""), "", ""},
		{"a value three times and another", one, header("X-Session-Id", "a", "X-Session-Id", "a", "X-Session-Id", "a", "X-Session-Id", "b"), "", ""},
		{"two values in lower case", one, header("x-session-id", "a", "x-session-id", "b"), "", ""},
		{"two spellings with one value", one, header("x-session-id", "a", "X-SESSION-ID", "a"), "x-session-id", "a"},
		{"two spellings with two values", one, header("x-session-id", "a", "X-SESSION-ID", "b"), "", ""},
		{"two spellings, one empty", one, http.Header{"x-session-id": {"a"}, "X-SESSION-ID": nil}, "x-session-id", "a"},

		{"first of two names", two, header("X-First", "a", "X_second", "b"), "x-first", "a"},
		{"second of two names", two, header("X_second", "b"), "x-second", "b"},
		{"first is no id", two, header("X-First", "null", "X_second", "b"), "x-second", "b"},
		{"first has two values", two, header("X-First", "a", "X-First", "c", "X_second", "b"), "x-second", "b"},
		{"first of two names in lower case", two, header("x_second", "b", "x-first", "a"), "x-first", "a"},
		{"first in lower case is no id", two, header("x_second", "b", "x-first", ""), "x-second", "b"},

		{"canonical one before another", extract.Header("X-A", "X-B", "X-C", "X-D"), header("x-c", "c", "X-D", "d"), "x-d", "d"},
		{"canonical one and another of its name", extract.Header("X-A", "X-B", "X-C"), header("x-c", "a", "X-C", "c"), "x-c", "c"},

		{"vendors' headers are for Headers only", one, header("X-Acme-Session-Id", "a"), "", ""},
		{"no names", extract.Header(), header("X-Session-Id", "a"), "", ""},
		{"no name in the request", one, header("", "a", "x-session-id", "b"), "x-session-id", "b"},
		{"empty name", extract.Header(""), header("X-Session-Id", "a"), "", ""},
		{"name with a space", extract.Header("My Session"), header("my session", "a"), "my session", "a"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			requireSession(t, test.e, &extract.Request{Header: test.header}, test.source, test.id)
		})
	}
}

func TestHeadersOfOtherVendors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		header     http.Header
		source, id string
	}{
		{"a vendor", header("X-Acme-Session-Id", "a"), "x-acme-session-id", "a"},
		{"in lower case", header("x-acme-session-id", "a"), "x-acme-session-id", "a"},
		{"as it is written", header("X-Acme-Session-ID", "a"), "x-acme-session-id", "a"},
		{"of several words", header("X-Acme-Two-Session-Id", "a"), "x-acme-two-session-id", "a"},
		{"one letter", header("X-A-Session-Id", "a"), "x-a-session-id", "a"},
		{"as long as may be", header("X-"+strings.Repeat("a", 51)+"-Session-Id", "a"), "x-" + strings.Repeat("a", 51) + "-session-id", "a"},
		{"longer", header("X-"+strings.Repeat("a", 52)+"-Session-Id", "a"), "", ""},
		{"two vendors: by the alphabet", header("X-B-Session-Id", "b", "X-A-Session-Id", "a", "X-C-Session-Id", "c"), "x-a-session-id", "a"},
		{"two vendors: the first is no id", header("X-B-Session-Id", "b", "X-A-Session-Id", "null"), "x-b-session-id", "b"},
		{"two vendors, one in lower case", header("x-a-session-id", "a", "X-B-Session-Id", "b"), "x-a-session-id", "a"},
		{"two spellings with two values", header("x-acme-session-id", "a", "X-Acme-Session-Id", "b"), "", ""},
		{"two values", header("X-Acme-Session-Id", "a", "X-Acme-Session-Id", "b"), "", ""},
		{"a listed one goes first", header("X-A-Session-Id", "a", "Thread-Id", "t"), "thread-id", "t"},

		{"a conversation", header("X-Acme-Conversation-Id", "a"), "x-acme-conversation-id", "a"},
		{"a chat in lower case", header("x-acme-chat-id", "a"), "x-acme-chat-id", "a"},
		{"a thread", header("X-Acme-Thread-Id", "a"), "x-acme-thread-id", "a"},
		{"a session goes before a thread", header("X-B-Session-Id", "b", "X-A-Thread-Id", "a", "X-A-Chat-Id", "c"), "x-b-session-id", "b"},
		{"a conversation goes before a chat", header("X-A-Chat-Id", "a", "X-B-Conversation-Id", "b"), "x-b-conversation-id", "b"},
		{"a parent conversation", header("X-Parent-Conversation-Id", "a"), "", ""},
		{"a vendor's parent thread", header("x-acme-parent-thread-id", "a"), "", ""},
		{"a message", header("X-Acme-Message-Id", "a"), "", ""},

		{"without an X", header("Agent-Session-Id", "a"), "agent-session-id", "a"}, // Goose
		{"without an X, in lower case", header("eo-infer-session-id", "a"), "eo-infer-session-id", "a"},
		{"without an X, a chat", header("Acme-Chat-Id", "a"), "acme-chat-id", "a"},
		{"without an X, a parent", header("Parent-Thread-Id", "a"), "", ""},
		{"without an X, a browser's", header("Oai-Session-Id", "a"), "", ""},

		{"one with an X goes first", header("Acme-Session-Id", "a", "X-Zed-Thread-Id", "z"), "x-zed-thread-id", "z"},
		{"without an X, a session goes before a thread", header("Acme-Thread-Id", "a", "Zed-Session-Id", "z"), "zed-session-id", "z"},

		{"no vendor", header("X--Session-Id", "a"), "", ""},
		{"no vendor, without an X", header("-Session-Id", "a"), "", ""},
		{"nothing but hyphens", header("--Session-Id", "a"), "", ""},
		{"a letter", header("D", "a"), "", ""},
		{"something behind", header("X-Acme-Session-Id-2", "a"), "", ""},
		{"another word", header("X-Acme-Session", "a"), "", ""},
		{"underscores", header("X_Acme_Session_Id", "a"), "", ""},
		{"a name that no log should see", header("x-a\nb-session-id", "a"), "", ""},
		{"a name of other letters", header("x-é-session-id", "a"), "", ""},
		{"a name without end", header("X-"+strings.Repeat("a", 1000)+"-Session-Id", "a"), "", ""},

		{"a parent", header("X-Parent-Session-Id", "a"), "", ""},
		{"a vendor's parent", header("X-Acme-Parent-Session-Id", "a"), "", ""},
		{"a vendor's parent in lower case", header("x-acme-parent-session-id", "a"), "", ""},
		{"MCP", header("Mcp-Session-Id", "a"), "", ""},
		{"MCP with a prefix", header("X-Mcp-Session-Id", "a"), "", ""},
		{"a remote session of Claude Code", header("X-Claude-Remote-Session-Id", "a"), "", ""},
		{"a window", header("X-Vscode-Session-Id", "a"), "", ""},
		{"a browser's", header("X-Posthog-Session-Id", "a"), "", ""},
		{"a visit", header("X-Visitor-Session-Id", "a", "X-Acme-Rum-Session-Id", "b", "X-Replay-Session-Id", "c"), "", ""},
		{"a login", header("X-User-Session-Id", "a"), "", ""},
		{"a login in lower case", header("x-auth-session-id", "a"), "", ""},
		{"a parent in front", header("X-Parent-Slot-Session-Id", "a", "X-Slot-Session-Id", "b"), "x-slot-session-id", "b"},
		{"a parent in between", header("X-Acme-Parent-Chat-Session-Id", "a"), "", ""},
		{"what it was forked from", header("X-Forked-From-Session-Id", "a"), "", ""},
		{"the one before", header("X-Acme-Previous-Conversation-Id", "a"), "", ""},
		{"a vendor's login", header("X-Acme-User-Session-Id", "a"), "", ""},
		{"a user's conversation", header("X-User-Conversation-Id", "a"), "x-user-conversation-id", "a"},
		{"a window's chat", header("X-Acme-Window-Chat-Id", "a"), "x-acme-window-chat-id", "a"},
		{"an agent with a browser", header("X-Browser-Use-Session-Id", "a"), "x-browser-use-session-id", "a"},
		{"a part of a word", header("X-Grandparents-Session-Id", "a"), "x-grandparents-session-id", "a"},
		{"a request", header("X-Request-Session-Id", "a"), "", ""},
		{"a machine", header("X-Machine-Session-Id", "a"), "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			requireSession(t, extract.Headers(), &extract.Request{Header: test.header}, test.source, test.id)
		})
	}
}

// What names a request, a turn, a machine or another session never names the session,
// whatever its value looks like.
func TestNeverASession(t *testing.T) {
	t.Parallel()
	headers := []string{
		"X-Request-Id", "X-Client-Request-Id", "Request-Id", "Idempotency-Key", "X-Idempotency-Key",
		"X-Stainless-Retry-Count", "X-Stainless-Runtime", "X-Stainless-Helper-Method", "X-Stainless-Session-Id",
		"X-Ssl-Session-Id", "X-Forwarded-Ssl-Session-Id", "Tls-Session-Id",
		"X-Livekit-Session-Id", "X-Livekit-Room-Id", "Oai-Session-Id", "Oai-Device-Id", "X-Session-Token",
		"Traceparent", "Tracestate", "Baggage", "X-Amzn-Trace-Id", "Cf-Ray", "X-B3-Traceid",
		"X-Codex-Turn-State", "X-Codex-Window-Id", "X-Codex-Turn-Metadata", "X-Codex-Parent-Thread-Id", "X-Openai-Subagent", "Turn-Id", "Turn_id",
		"X-Grok-Req-Id", "X-Grok-Turn-Idx", "X-Grok-Agent-Id",
		"X-Assistant-Message-Id", "X-Amp-Message-Id", "X-Opencode-Request", "X-Opencode-Project", "X-Opencode-Client",
		"X-Openwebui-Message-Id", "X-Openwebui-User-Id", "X-Openwebui-User-Email",
		"X-Agent-Task-Id", "X-Interaction-Id", "X-Interaction-Type", "X-Client-Machine-Id", "Vscode-Machineid", "Vscode-Sessionid",
		"X-Claude-Code-Prompt-Id", "X-Claude-Code-Agent-Id", "X-Claude-Code-Parent-Agent-Id", "X-Claude-Remote-Session-Id", "X-Claude-Remote-Container-Id",
		"X-Parent-Session-Id", "X-Dynamo-Parent-Session-Id", "Mcp-Session-Id",
		"X-Acme-Window-Session-Id", "X-Acme-Device-Session-Id", "X-Acme-Browser-Session-Id", "X-Acme-Analytics-Session-Id",
		"X-Acme-Telemetry-Session-Id", "X-Acme-Login-Session-Id", "X-Sso-Session-Id",
		"X-Gemini-Api-Privileged-User-Id", "X-Msh-Device-Id", "X-Continue-Unique-Id", "X-Kilocode-Machineid", "X-Kilocode-Projectid",
		"Chatgpt-Account-Id", "X-Portkey-Trace-Id", "X-Litellm-Trace-Id", "Cf-Aig-Metadata",
		"Authorization", "X-Api-Key", "Cookie", "User-Agent", "X-Forwarded-For", "X-Real-Ip", "Forwarded",
	}
	bodies := []string{
		`{"safety_identifier":%s}`, `{"user_id":%s}`, `{"id":%s}`, `{"model":%s}`, `{"turn_id":%s}`,
		`{"requestId":%s}`, `{"user_prompt_id":%s}`, `{"project":%s}`, `{"installation_id":%s}`, `{"trace_id":%s}`, `{"rid":%s}`,
		`{"metadata":{"promptId":%s}}`, `{"metadata":{"channel":%s}}`, `{"metadata":{"cursorRequestId":%s}}`, `{"metadata":{"trace_id":%s}}`,
		`{"metadata":{"device_id":%s}}`, `{"metadata":{"parent_session_id":%s}}`,
		`{"client_metadata":{"turn_id":%s,"x-codex-installation-id":%[1]s,"x-codex-window-id":%[1]s}}`,
		`{"request":{"user_prompt_id":%s}}`, `{"request":{"requestId":%s}}`,
		`{"thread":{"type":%s}}`, `{"tools":[{"session_id":%s}]}`, `{"a":{"session_id":%s}}`, `{"a":[{"conversation_id":%s}]}`,
	}
	for _, e := range []extract.Extractor{extract.Default(), extract.Classic(), extract.Headers(), extract.BodyIDs()} {
		for _, v := range []string{"a", uuid, "ses_dfa254ff6ffex7BnK31MIzVKLr", "user_ab_account__session_" + uuid} {
			all := http.Header{}
			for _, name := range headers {
				for _, spelling := range []string{name, strings.ToLower(name)} {
					requireSession(t, e, &extract.Request{Header: header(spelling, v)}, "", "")
				}
				all.Set(name, v)
			}
			requireSession(t, e, &extract.Request{Header: all}, "", "")
			for _, b := range bodies {
				requireSession(t, e, &extract.Request{Body: fmt.Appendf(nil, b, `"`+v+`"`)}, "", "")
			}
		}
	}
}

// One Request may be asked by several lists, in any order: none keeps the others from
// what they know.
func TestListsOfHeadersDoNotMind(t *testing.T) {
	t.Parallel()
	lists := map[string]extract.Extractor{
		"x-session-id": extract.Headers(),
		"x-mine":       extract.Header("A", "B", "X-Mine"),
		"x-third":      extract.Header("X-Third"),
	}
	h := header("x-session-id", "s", "x-mine", "m", "x-third", "t")
	for _, missing := range []string{"", "x-session-id", "x-mine", "x-third"} {
		for range 20 { // in different orders
			r := &extract.Request{Header: h.Clone()}
			delete(r.Header, missing)
			for source, e := range lists {
				s, ok := e.Extract(r)
				require.Equal(t, source != missing, ok, "%s without %q", source, missing)
				if ok {
					require.Equal(t, source, s.Source)
				}
				again, ok2 := e.Extract(r)
				require.Equal(t, ok, ok2)
				require.Equal(t, s, again)
			}
		}
	}
}

// The values of headers are the caller's.
func TestHeadersAreLeftAlone(t *testing.T) {
	t.Parallel()
	one, two := append(make([]string, 0, 4), "a"), append(make([]string, 0, 4), "a")
	requireSession(t, extract.Headers(), &extract.Request{Header: http.Header{"x-session-id": one, "X-SESSION-ID": two}}, "x-session-id", "a")
	require.Empty(t, one[:2][1])
	require.Empty(t, two[:2][1])
}

// X-Client-Request-Id names the thread for some and the request for others.
func TestXClientRequestID(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		header     http.Header
		source, id string
	}{
		{"Codex", header("Originator", "codex_cli_rs", "X-Client-Request-Id", uuid), "thread-id", uuid},
		{"Codex with its own headers", header("Originator", "codex_cli_rs", "X-Client-Request-Id", uuid, "Session-Id", uuid2), "session-id", uuid2},
		{"Codex by its User-Agent", header("User-Agent", "codex_cli_rs/0.1", "X-Client-Request-Id", uuid), "thread-id", uuid},
		{"Codex in lower case", header("originator", "codex_cli_rs", "x-client-request-id", uuid), "thread-id", uuid},
		{"an SDK", header("User-Agent", "OpenAI/Python 1.0", "X-Client-Request-Id", uuid), "", ""},
		{"nobody known", header("X-Client-Request-Id", uuid), "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			requireSession(t, extract.Default(), &extract.Request{Header: test.header}, test.source, test.id)
		})
	}
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	e := extract.Metadata("Call")
	requireSession(t, e, &extract.Request{}, "", "")
	requireSession(t, e, &extract.Request{Metadata: map[string]string{"call": "a"}}, "", "")
	requireSession(t, e, &extract.Request{Metadata: map[string]string{"Call": "null"}}, "", "")
	requireSession(t, e, &extract.Request{Metadata: map[string]string{"Call": " a "}}, "metadata:Call", "a")
}

func FuzzHeader(f *testing.F) {
	f.Add("X-Session-Id", "a", "x-session-id", "b")
	f.Add("x-acme-session-id", "a", "X-ACME-Session-Id", "b")
	f.Add("x-acme-thread-id", "a", "X-ACME-Chat-Id", "b")
	f.Add("Session-Id", "a", "Session_id", "b")
	f.Add("X-Parent-Session-Id", "a", "X-Request-Id", "b")
	f.Add("x-\n-session-id", "a", "x-claude-code-session-id", uuid)
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2 string) {
		if name1 == "" || name2 == "" {
			t.Skip("no header has an empty name")
		}
		r := &extract.Request{Header: header(name1, value1, name2, value2)}
		for _, e := range []extract.Extractor{extract.Default(), extract.Classic(), extract.Header(name2, name1)} {
			s, ok := e.Extract(r)
			if ok {
				requireID(t, s.ID)
				require.NotEmpty(t, s.Source)
			}
			for range 3 {
				again, ok2 := e.Extract(r)
				require.Equal(t, ok, ok2)
				require.Equal(t, s, again)
			}
		}
		if s, ok := extract.Headers().Extract(r); ok {
			require.Regexp(t, `^[a-z0-9-]{1,64}$`, s.Source, "a source is fit for a log")
		}
	})
}

// A name may have any length and any place in the list.
func TestManyAndLongHeaders(t *testing.T) {
	t.Parallel()
	var names []string
	for i := range 300 {
		names = append(names, fmt.Sprintf("X-Some-Header-%d", i))
	}
	const long = "X-Amzn-Bedrock-Agentcore-Runtime-Session-Id"
	names = append(names, long, "X-Last")
	for i, name := range names {
		h := http.Header{name: {"the-id"}}
		if i+1 < len(names) {
			h["X-Last"] = []string{"another-id"}
		}
		requireSession(t, extract.Header(names...), &extract.Request{Header: h}, strings.ToLower(name), "the-id")
	}
	requireSession(t, extract.Header("A", "B", long, "C"), &extract.Request{Header: http.Header{long: {"the-id"}, "C": {"another-id"}}}, strings.ToLower(long), "the-id")
	requireSession(t, extract.Header("A", "B", "C", long), &extract.Request{Header: http.Header{long: {"another-id"}, "C": {"the-id"}}}, "c", "the-id")
}

// Of headers on no list, a request that has very many has none; those on the list count.
func TestVeryManyVendors(t *testing.T) {
	t.Parallel()
	h := http.Header{}
	for i := range 32 {
		h[fmt.Sprintf("X-Vendor-%02d-Session-Id", i)] = []string{"the-id"}
	}
	requireSession(t, extract.Headers(), &extract.Request{Header: h}, "x-vendor-00-session-id", "the-id")
	for i := range 1000 {
		h[fmt.Sprintf("X-Other-%d-Chat-Id", i)] = []string{"another-id"}
	}
	for range 20 { // a map has another order each time
		_, ok := extract.Headers().Extract(&extract.Request{Header: h})
		require.False(t, ok)
	}
	h["X-Affinity"] = []string{"one-of-the-list"}
	requireSession(t, extract.Headers(), &extract.Request{Header: h}, "x-affinity", "one-of-the-list")
}

// Nor are very many looked at that look like session headers and are none.
func TestVeryManyHeadersLikeOnes(t *testing.T) {
	h := http.Header{}
	for i := range 1000 {
		h[fmt.Sprintf("X-%d-User-Session-Id", i)] = []string{"the-id"}
	}
	require.LessOrEqual(t, testing.AllocsPerRun(5, func() {
		_, ok := extract.Headers().Extract(&extract.Request{Header: h})
		require.False(t, ok)
	}), 40.0)
}
