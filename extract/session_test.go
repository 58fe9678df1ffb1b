package extract_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
)

func TestThreadsAndParents(t *testing.T) {
	t.Parallel()
	const root, thread = "01a205d8-a205-75d3-8300-1184621f7203", "01a205d9-0000-75d3-8300-1184621f7203"
	type want struct{ source, id, thread, parentThread, parent string }
	for name, tt := range map[string]struct {
		header http.Header
		body   string
		want   want
	}{
		"Claude Code, main": {http.Header{"X-Claude-Code-Session-Id": {root}}, "",
			want{"claude-code", root, "", "", ""}},
		"Claude Code, sub-agent": {http.Header{"X-Claude-Code-Session-Id": {root}, "X-Claude-Code-Agent-Id": {"a1"}}, "",
			want{"claude-code", root, "a1", "", ""}},
		"Claude Code, nested": {http.Header{"X-Claude-Code-Session-Id": {root}, "X-Claude-Code-Agent-Id": {"a2"}, "X-Claude-Code-Parent-Agent-Id": {"a1"}}, "",
			want{"claude-code", root, "a2", "a1", ""}},
		"Claude Code, by its body": {http.Header{"X-Claude-Code-Agent-Id": {"a1"}}, `{"metadata":{"user_id":"{\"session_id\":\"` + root + `\"}"}}`,
			want{"claude-code", root, "a1", "", ""}},
		"Codex, main": {http.Header{"Session-Id": {root}, "Thread-Id": {root}}, "",
			want{"session-id", root, "", "", ""}},
		"Codex, review": {http.Header{"Session-Id": {root}, "Thread-Id": {thread}, "X-Codex-Parent-Thread-Id": {root}}, "",
			want{"session-id", root, thread, "", ""}},
		"Codex, nested": {http.Header{"Session-Id": {root}, "Thread-Id": {thread}, "X-Codex-Parent-Thread-Id": {"01a2"}}, "",
			want{"session-id", root, thread, "01a2", ""}},
		"Codex before, without thread ids": {http.Header{"Session_id": {root}, "X-Openai-Subagent": {"review"}}, "",
			want{"session-id", root, "review", "", ""}},
		"Codex, main, by its body": {nil, `{"client_metadata":{"session_id":"` + root + `","thread_id":"` + root + `"}}`,
			want{"client_metadata.session_id", root, "", "", ""}},
		"Codex, sub-agent by its body": {nil, `{"client_metadata":{"session_id":"` + root + `","thread_id":"` + thread + `","x-openai-subagent":"collab_spawn","x-codex-parent-thread-id":"` + root + `"}}`,
			want{"client_metadata.session_id", root, thread, "", ""}},
		"Codex, nested, by a large body": {nil, `{"input":"` + strings.Repeat("x", wholly) + `","client_metadata":{"session_id":"` + root + `","thread_id":"` + thread + `","x-codex-parent-thread-id":"01a2"}}`,
			want{"client_metadata.session_id", root, thread, "01a2", ""}},
		"Codex, sub-agent, by metadata longer than what is looked at": {nil, `{"input":"` + strings.Repeat("x", wholly) + `","client_metadata":{"session_id":"` + root + `","x":"` + strings.Repeat("x", 2<<10) + `","thread_id":"` + thread + `"}}`,
			want{"client_metadata.session_id", root, thread, "", ""}},
		"Codex, sub-agent, by a middling body": {nil, `{"input":"` + strings.Repeat("x", 8<<10) + `","client_metadata":{"session_id":"` + root + `","x":"` + strings.Repeat("x", 2<<10) + `","thread_id":"` + thread + `"}}`,
			want{"client_metadata.session_id", root, thread, "", ""}},
		"Codex, a thread that is no id, by its body": {nil, `{"client_metadata":{"session_id":"` + root + `","thread_id":"null","x-openai-subagent":"review"}}`,
			want{"client_metadata.session_id", root, "review", "", ""}},
		"Codex, fork by its key": {nil, `{"prompt_cache_key":"guardian:` + root + `"}`,
			want{"prompt_cache_key", "guardian:" + root, "", "", root}},
		"Codex, fork by its key, in upper case": {nil, `{"prompt_cache_key":"guardian:` + strings.ToUpper(root) + `"}`,
			want{"prompt_cache_key", "guardian:" + strings.ToUpper(root), "", "", root}},
		"Codex, fork of nothing": {nil, `{"prompt_cache_key":"guardian:00000000-0000-0000-0000-000000000000"}`,
			want{"prompt_cache_key", "guardian:00000000-0000-0000-0000-000000000000", "", "", ""}},
		"Codex, a fork": {http.Header{"Session-Id": {root}, "Thread-Id": {root}, "X-Codex-Turn-Metadata": {`{"forked_from_thread_id":"` + thread + `","request_kind":"turn"}`}}, "",
			want{"session-id", root, "", "", thread}},
		"Codex, a fork that names only its thread": {http.Header{"Thread-Id": {root}, "X-Codex-Turn-Metadata": {`{"forked_from_thread_id":"` + thread + `"}`}}, "",
			want{"thread-id", root, "", "", thread}},
		"Codex, main, with a parent": {http.Header{"Session-Id": {root}, "Thread-Id": {root}, "X-Codex-Parent-Thread-Id": {thread}}, "",
			want{"session-id", root, "", "", ""}},
		"Codex, sub-agent by its body and a header": {http.Header{"X-Openai-Subagent": {"review"}}, `{"client_metadata":{"session_id":"` + root + `"}}`,
			want{"client_metadata.session_id", root, "review", "", ""}},
		"Mistral Vibe": {http.Header{"X-Affinity": {root}}, `{"messages":[],"metadata":{"session_id":"` + root + `","call_type":"main_call"}}`,
			want{"x-affinity", root, "", "", ""}},
		"Mistral Vibe, compacted": {http.Header{"X-Affinity": {root}}, `{"messages":[],"metadata":{"session_id":"` + root + `","parent_session_id":"` + thread + `"}}`,
			want{"x-affinity", root, "", "", thread}},
		"Mistral Vibe, with a large body": {http.Header{"X-Affinity": {root}}, `{"metadata":{"parent_session_id":"` + thread + `"},"messages":"` + strings.Repeat("x", wholly) + `"}`,
			want{"x-affinity", root, "", "", thread}},
		"Mistral Vibe, its own parent": {http.Header{"X-Affinity": {root}}, `{"metadata":{"parent_session_id":"` + root + `"}}`,
			want{"x-affinity", root, "", "", ""}},
		"Codex, main by its key": {nil, `{"prompt_cache_key":"` + root + `"}`,
			want{"prompt_cache_key", root, "", "", ""}},
		"Codex, forked from itself": {http.Header{"Session-Id": {root}, "X-Codex-Turn-Metadata": {`{"forked_from_thread_id":"` + root + `"}`}}, "",
			want{"session-id", root, "", "", ""}},
		"Codex, a sub-agent forked off": {http.Header{"Session-Id": {root}, "Thread-Id": {thread}, "X-Codex-Turn-Metadata": {`{"forked_from_thread_id":"01a2"}`}}, "",
			want{"session-id", root, thread, "", ""}},
		"Codex, two opinions of a fork": {http.Header{"Session-Id": {root}, "X-Codex-Turn-Metadata": {`{"forked_from_thread_id":"01a2"}`, `{}`}}, "",
			want{"session-id", root, "", "", ""}},
		"Codex, a fork by its body": {nil, `{"client_metadata":{"session_id":"` + root + `","thread_id":"` + root + `","x-codex-turn-metadata":"{\"forked_from_thread_id\":\"` + thread + `\"}"}}`,
			want{"client_metadata.session_id", root, "", "", thread}},
		"Codex, forked from itself, by its body": {nil, `{"client_metadata":{"session_id":"` + root + `","x-codex-turn-metadata":"{\"forked_from_thread_id\":\"` + root + `\"}"}}`,
			want{"client_metadata.session_id", root, "", "", ""}},
		"a key with hexadecimal digits behind a colon": {nil, `{"prompt_cache_key":"app:fe"}`,
			want{"prompt_cache_key", "app:fe", "", "", ""}},
		"a key with a colon": {nil, `{"prompt_cache_key":"app:v2"}`,
			want{"prompt_cache_key", "app:v2", "", "", ""}},
		"Codex, only the request id is left": {http.Header{"Originator": {"codex_exec"}, "X-Client-Request-Id": {root}}, "",
			want{"thread-id", root, "", "", ""}},
		"OpenCode, main": {http.Header{"X-Session-Id": {"ses_1"}}, "",
			want{"x-session-id", "ses_1", "", "", ""}},
		"OpenCode, child": {http.Header{"X-Session-Id": {"ses_2"}, "X-Parent-Session-Id": {"ses_1"}}, "",
			want{"x-session-id", "ses_2", "", "", "ses_1"}},
		"its own parent": {http.Header{"X-Session-Id": {"ses_1"}, "X-Parent-Session-Id": {"ses_1"}}, "",
			want{"x-session-id", "ses_1", "", "", ""}},
		"CodeBuddy, child": {http.Header{"X-Conversation-Id": {"c2"}, "X-Parent-Conversation-Id": {"c1"}}, "",
			want{"x-conversation-id", "c2", "", "", "c1"}},
		"CodeBuddy, its own parent": {http.Header{"X-Conversation-Id": {"c1"}, "X-Parent-Conversation-Id": {"c1"}}, "",
			want{"x-conversation-id", "c1", "", "", ""}},
		"Kilo Code, child": {http.Header{"X-Kilocode-Taskid": {"ses_2"}, "X-Kilocode-Parent-Taskid": {"ses_1"}}, "",
			want{"x-kilocode-taskid", "ses_2", "", "", "ses_1"}},
		"Dynamo": {http.Header{"X-Dynamo-Session-Id": {"d2"}, "X-Dynamo-Parent-Session-Id": {"d1"}}, "",
			want{"x-dynamo-session-id", "d2", "", "", "d1"}},
		"Dynamo, its own parent": {http.Header{"X-Dynamo-Session-Id": {"d1"}, "X-Dynamo-Parent-Session-Id": {"d1"}}, "",
			want{"x-dynamo-session-id", "d1", "", "", ""}},
		"Grok CLI's agent is an installation": {http.Header{"X-Grok-Conv-Id": {"c"}, "X-Grok-Session-Id": {"c"}, "X-Grok-Agent-Id": {"a"}}, "",
			want{"x-grok-session-id", "c", "", "", ""}},
		"Grok CLI's side call": {http.Header{"X-Grok-Conv-Id": {"recap-1"}, "X-Grok-Session-Id": {"c"}}, "",
			want{"x-grok-session-id", "c", "", "", ""}},
		"OpenCode, child, by its affinity": {http.Header{"X-Session-Affinity": {"ses_2"}, "X-Parent-Session-Id": {"ses_1"}}, "",
			want{"x-session-affinity", "ses_2", "", "", "ses_1"}},
		"OpenCode, child, by a name of its own": {http.Header{"X-Opencode-Session": {"ses_2"}, "X-Parent-Session-Id": {"ses_1"}}, "",
			want{"x-opencode-session", "ses_2", "", "", "ses_1"}},
		"OpenClaw, an agent": {http.Header{"X-Openclaw-Session-Key": {"o"}, "X-Openclaw-Agent-Id": {"a1"}}, "",
			want{"x-openclaw-session-key", "o", "a1", "", ""}},
		"Copilot CLI, sub-agent": {http.Header{"X-Client-Session-Id": {"c"}, "X-Interaction-Type": {"conversation-subagent"}}, "",
			want{"x-client-session-id", "c", "subagent", "", ""}},
		"a thread that is no id": {http.Header{"X-Claude-Code-Session-Id": {root}, "X-Claude-Code-Agent-Id": {"a\nb"}}, "",
			want{"claude-code", root, "", "", ""}},
	} {
		s, ok := extract.Default().Extract(&extract.Request{Header: tt.header, Body: []byte(tt.body)})
		require.True(t, ok, name)
		require.Equal(t, tt.want, want{s.Source, s.ID, s.Thread, s.ParentThread, s.Parent}, name)
	}

	s, ok := extract.Default().Extract(&extract.Request{
		Header: http.Header{"Originator": {"codex_cli_rs"}, "X-Client-Request-Id": {root}, "X-Openai-Subagent": {"review"}},
		Path:   "/v1/responses/compact",
	})
	require.True(t, ok)
	require.Equal(t, want{"thread-id", root, "review", "", ""}, want{s.Source, s.ID, s.Thread, s.ParentThread, s.Parent}, "all else is lost")
	require.Equal(t, extract.Compaction, s.Class)

	s, ok = extract.Default().Extract(&extract.Request{Body: []byte(`{"client_metadata":{"session_id":"` + root + `","x-openai-subagent":"compact"}}`)})
	require.True(t, ok)
	require.Equal(t, extract.Compaction, s.Class)

	// In the requests of all others that header names the request.
	for _, agent := range []string{"OpenAI/JS 6.26.0", "Anthropic/Python 1.0", ""} {
		_, ok := extract.Default().Extract(&extract.Request{Header: http.Header{"User-Agent": {agent}, "X-Client-Request-Id": {root}}})
		require.False(t, ok, agent)
	}
}

func TestConfidence(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		header http.Header
		body   string
		want   extract.Confidence
	}{
		"header":           {http.Header{"X-Session-Id": {"s"}}, "", extract.Explicit},
		"conversation":     {nil, `{"conversation":"conv_1"}`, extract.Explicit},
		"prompt_cache_key": {nil, `{"prompt_cache_key":"k"}`, extract.Conventional},
		"user id":          {nil, `{"metadata":{"user_id":"u"}}`, extract.Conventional},
		"kimi's user id is its session": {http.Header{"User-Agent": {"KimiCLI/1.0"}},
			`{"metadata":{"user_id":"ca40aa6d-4238-464e-98df-6ba3e9377c6e"}}`, extract.Explicit},
		"Kimi Code's user id is its session": {http.Header{"User-Agent": {"kimi-code-cli/1.0"}},
			`{"metadata":{"user_id":"session_ca40aa6d-4238-464e-98df-6ba3e9377c6e"}}`, extract.Explicit},
		"a user id like a session": {nil, `{"metadata":{"user_id":"session_anna"}}`, extract.Conventional},
		"kimi's user id is none":   {http.Header{"User-Agent": {"KimiCLI/1.0"}}, `{"metadata":{"user_id":"anna"}}`, extract.Conventional},
		"another client's user id": {http.Header{"User-Agent": {"Other/1.0"}}, `{"metadata":{"user_id":"ca40aa6d-4238-464e-98df-6ba3e9377c6e"}}`, extract.Conventional},
		"messages":                 {nil, `{"messages":[{"role":"user","content":"x"}]}`, extract.Derived},
	} {
		s, ok := extract.Default().Extract(&extract.Request{Header: tt.header, Body: []byte(tt.body)})
		require.True(t, ok, name)
		require.Equal(t, tt.want, s.Confidence, name)
	}
}

// A map that net/http has not filled in says the same.
func TestHeadersInLowerCase(t *testing.T) {
	t.Parallel()
	for _, upper := range []http.Header{
		{"Authorization": {"Bearer k"}, "X-Claude-Code-Session-Id": {"sess-1"}, "X-Claude-Code-Agent-Id": {"a1"}, "X-Claude-Code-Request-Class": {"compaction"}},
		{"X-Api-Key": {"k"}, "Session-Id": {"sess-1"}, "Thread-Id": {"thread-1"}, "X-Codex-Turn-Metadata": {`{"request_kind":"memory"}`}},
		{"X-Session-Id": {"sess-1"}, "X-Parent-Session-Id": {"sess-0"}},
		{"X-Client-Session-Id": {"sess-1"}, "X-Interaction-Type": {"conversation-background"}},
	} {
		lower, capitals := http.Header{}, http.Header{}
		for k, v := range upper {
			lower[strings.ToLower(k)], capitals[strings.ToUpper(k)] = v, v
		}
		want, ok := extract.Default().Extract(&extract.Request{Header: upper})
		require.True(t, ok)
		for _, e := range []extract.Extractor{extract.Default(), extract.Chain{extract.ClaudeCode(), extract.Chain{extract.Headers()}}} {
			for _, h := range []http.Header{lower, capitals} {
				r := &extract.Request{Header: h}
				got, _ := e.Extract(r)
				require.Equal(t, want, got)
				require.Equal(t, (&extract.Request{Header: upper}).Class(), r.Class())
				require.Equal(t, extract.Credential(&extract.Request{Header: upper}), extract.Credential(r))
			}
		}
	}
}

// It does so whatever is asked first, and for those whom no header names.
func TestHeadersInLowerCaseAskedFirst(t *testing.T) {
	t.Parallel()
	r := &extract.Request{Header: http.Header{"accept": {"*/*"}, "x-claude-code-request-class": {"compaction"}}}
	require.Equal(t, extract.Compaction, r.Class())

	// One map, one answer, whatever is asked first.
	mixed := http.Header{"Content-Type": {"application/json"}, "x-claude-code-session-id": {"s"}, "x-claude-code-request-class": {"compaction"}}
	r, after := &extract.Request{Header: mixed}, &extract.Request{Header: mixed}
	extract.Default().Extract(after)
	require.Equal(t, r.Class(), after.Class())

	s, _ := extract.BodyIDs().Extract(&extract.Request{Header: http.Header{"thread-id": {"t"}}, Body: []byte(`{"prompt_cache_key":"s"}`)})
	require.Equal(t, "t", s.Thread)
	s, _ = extract.UserID().Extract(&extract.Request{Header: http.Header{"user-agent": {"KimiCLI/1.0"}},
		Body: []byte(`{"metadata":{"user_id":"ca40aa6d-4238-464e-98df-6ba3e9377c6e"}}`)})
	require.Equal(t, extract.Explicit, s.Confidence)
}
