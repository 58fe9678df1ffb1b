package extract

import (
	"os"
	"regexp"
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
	require.Equal(t, append(names, "X-...-Session-Id", "X-...-Conversation-Id", "X-...-Chat-Id", "X-...-Thread-Id", "X-Client-Request-Id"), table["Headers"])
	require.Equal(t, []string{claudeHeader, "metadata.user_id"}, table["ClaudeCode"])

	// A body with nothing but the member of a path is known by it, and of two
	// rows the upper one wins.
	body := func(paths ...string) []byte {
		var members []string
		for i, p := range paths {
			id := `"id-` + string(rune('a'+i)) + `"`
			if outer, inner, ok := strings.Cut(p, "."); ok {
				members = append(members, `"`+outer+`":{"`+inner+`":`+id+`}`)
			} else {
				members = append(members, `"`+p+`":`+id)
			}
		}
		return []byte("{" + strings.Join(members, ",") + "}")
	}
	rows := table["BodyIDs"]
	require.Len(t, rows, len(bodyIDs))
	for i, row := range rows {
		s, ok := BodyIDs().Extract(&Request{Body: body(row)})
		require.True(t, ok, row)
		require.Equal(t, "id-a", s.ID, row)
		for _, lower := range rows[i+1:] {
			if outer, _, _ := strings.Cut(row, "."); strings.HasPrefix(lower, outer+".") || lower == outer || strings.HasPrefix(row, lower+".") {
				continue // one member cannot be both
			}
			s, ok := BodyIDs().Extract(&Request{Body: body(lower, row)})
			require.True(t, ok)
			require.Equal(t, "id-b", s.ID, "%s goes before %s", row, lower)
		}
	}
}
