package extract

import (
	"cmp"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The table in the package documentation lists what the code knows, in the
// order in which the code asks.
func TestTableOfSignalsIsTrue(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	table := map[string][]string{}
	section := ""
	for line := range strings.Lines(string(text)) {
		if m := regexp.MustCompile(`^//\t(\w+)\(\)$`).FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			section = m[1]
		} else if m := regexp.MustCompile(`^//\t  (\S+)`).FindStringSubmatch(line); m != nil {
			table[section] = append(table[section], m[1])
		}
	}

	var names []string
	for _, n := range knownHeaders.names[1:] { // the first is ClaudeCode's
		names = append(names, n.canonical)
	}
	names = append(names, "...-Session-Id", "...-Conversation-Id", "...-Chat-Id", "...-Thread-Id", "X-Client-Request-Id")
	require.Equal(t, names, table["Headers"], "knownHeaders, in header.go, and the rows of doc.go")
	require.Equal(t, []string{claudeHeader, "metadata.user_id", "user"}, table["ClaudeCode"])

	rows := table["BodyIDs"]
	for i, row := range rows[:min(len(rows), len(bodyIDs))] {
		outer, inner, nested := strings.Cut(row, ".")
		f := noField.member([]byte(outer))
		if nested {
			f = f.member([]byte(inner))
		}
		require.Equal(t, bodyIDs[i].field, f, "doc.go has a row for %s where bodyIDs, in body.go, has a line for %s", row, bodyIDs[i].source)
	}
	require.Len(t, rows, len(bodyIDs), "doc.go has a row for each line of bodyIDs, in body.go")
}

// Each row of the table of threads names a thread or a parent, and the code looks at nothing that
// is in none of them.
func TestTableOfThreadsIsTrue(t *testing.T) {
	t.Parallel()
	const uuid = "01890a5d-ac96-774b-bcce-b302099a8057"
	type request struct {
		header map[string]string
		body   string
	}
	type named struct{ thread, parentThread, parent string }
	type row []struct {
		request
		want named
	}
	codex := func(metadata string) request {
		return request{nil, `{"client_metadata":{"session_id":"s",` + metadata + `}}`}
	}
	headers := func(pairs ...string) (r request) {
		r.header = map[string]string{}
		for pair := range slices.Chunk(pairs, 2) {
			r.header[pair[0]] = pair[1]
		}
		return r
	}
	rows := map[string]row{
		"X-Claude-Code-Agent-Id": {
			{headers(claudeHeader, uuid, "X-Claude-Code-Agent-Id", "t"), named{thread: "t"}},
			{headers(claudeHeader, uuid, "X-Claude-Code-Agent-Id", "t", "X-Claude-Code-Parent-Agent-Id", "p"), named{"t", "p", ""}},
			{headers("X-Session-Id", "s", "X-Claude-Code-Agent-Id", "t"), named{}}, // beside an id of another client
		},
		"Thread-Id": {
			{headers("Session-Id", "s", "Thread-Id", "t"), named{thread: "t"}},
			{headers("Session-Id", "s", "Thread-Id", "t", "X-Codex-Parent-Thread-Id", "p"), named{"t", "p", ""}},
			{codex(`"thread_id":"t","x-codex-parent-thread-id":"p"`), named{"t", "p", ""}},
			{headers("Session-Id", "s", "Thread-Id", "s", "X-Codex-Parent-Thread-Id", "p"), named{}}, // the main one
			{headers("Session-Id", "s", "Thread-Id", "t", "X-Codex-Parent-Thread-Id", "s"), named{thread: "t"}},
		},
		"X-Openai-Subagent": {
			{headers("Session-Id", "s", "X-Openai-Subagent", "review"), named{thread: "review"}},
			{codex(`"x-openai-subagent":"review"`), named{thread: "review"}},
			{request{map[string]string{"Session-Id": "s"}, codex(`"x-openai-subagent":"review"`).body}, named{}},
			{headers("Session-Id", "s", "X-Openai-Subagent", "review", "Thread-Id", "t"), named{thread: "t"}},
		},
		"X-Interaction-Type": {
			{headers("X-Client-Session-Id", "s", "X-Interaction-Type", "conversation-subagent"), named{thread: "subagent"}},
		},
		"X-Openclaw-Agent-Id": {
			{headers("X-Openclaw-Session-Key", "s", "X-Openclaw-Agent-Id", "t"), named{thread: "t"}},
		},
		"X-Parent-Session-Id": {
			{headers("X-Session-Id", "s", "X-Parent-Session-Id", "p"), named{parent: "p"}},
			{headers("X-Opencode-Session", "s", "X-Parent-Session-Id", "p"), named{parent: "p"}},
			{headers("X-Session-Affinity", "s", "X-Parent-Session-Id", "p"), named{parent: "p"}},
			{headers("X-Grok-Session-Id", "s", "X-Parent-Session-Id", "p"), named{}},
		},
		"X-Codex-Turn-Metadata": {
			{headers("Session-Id", "s", "X-Codex-Turn-Metadata", `{"forked_from_thread_id":"p"}`), named{parent: "p"}},
			{codex(`"x-codex-turn-metadata":"{\"forked_from_thread_id\":\"p\"}"`), named{parent: "p"}},
		},
		"prompt_cache_key": {
			{request{nil, `{"prompt_cache_key":"fork:` + uuid + `"}`}, named{parent: uuid}},
			{request{nil, `{"prompt_cache_key":"fork:p"}`}, named{}},
		},
		"X-Parent-Conversation-Id": {
			{headers("X-Conversation-Id", "s", "X-Parent-Conversation-Id", "p"), named{parent: "p"}},
		},
		"X-Kilocode-Parent-Taskid": {
			{headers("X-Kilocode-Taskid", "s", "X-Kilocode-Parent-Taskid", "p"), named{parent: "p"}},
		},
		"metadata.parent_session_id": {
			{request{map[string]string{"X-Affinity": "s"}, `{"metadata":{"parent_session_id":"p"}}`}, named{parent: "p"}},
			{request{map[string]string{"X-Session-Id": "s"}, `{"metadata":{"parent_session_id":"p"}}`}, named{}},
		},
		"X-Dynamo-Parent-Session-Id": {
			{headers("X-Dynamo-Session-Id", "s", "X-Dynamo-Parent-Session-Id", "p"), named{parent: "p"}},
		},
	}

	text, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	_, table, _ := strings.Cut(string(text), "# What names a thread")
	table, _, _ = strings.Cut(table, "\n// # ")
	var documented []string
	for _, m := range regexp.MustCompile(`(?m)^//\t  (\S+)`).FindAllStringSubmatch(table, -1) {
		documented = append(documented, m[1])
	}
	require.ElementsMatch(t, documented, slices.Collect(maps.Keys(rows)))

	for name, requests := range rows {
		for _, r := range requests {
			h := http.Header{}
			for key, value := range r.header {
				h.Set(key, value)
			}
			s, ok := Default().Extract(&Request{Header: h, Body: []byte(cmp.Or(r.body, "{}"))})
			require.True(t, ok, name)
			require.Equal(t, r.want, named{s.Thread, s.ParentThread, s.Parent}, "%s: %v", name, r.request)
		}
	}

	code, err := os.ReadFile("session.go")
	require.NoError(t, err)
	for _, m := range regexp.MustCompile(`r\.(?:header|values)\("([^"]+)"\)|parentHeader = "([^"]+)"`).FindAllStringSubmatch(string(code), -1) {
		require.Contains(t, table, m[1]+m[2], "a header in session.go, and a row of doc.go")
	}
}
