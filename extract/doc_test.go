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
