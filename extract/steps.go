package extract

import (
	"bytes"

	"github.com/cespare/xxhash/v2"
)

// readSteps takes in the plain text in which browser-use tells a model of a task, and reports
// whether it is one. Each request has one such message: with the task, all steps that were taken
// so far, which are those of the request before and one more, and then the page as it is now.
// What the task is and the steps count as texts of their own, so that the request before ended
// at the step before the last. The page counts for nothing, and neither does what else the
// message holds, such as a picture of the page. How the task begins does not change with the steps.
func (t *trail) readSteps(text []byte) bool {
	rest, ok := bytes.CutPrefix(text, []byte(`<user_request>\n`))
	if !ok {
		return false
	}
	task, rest, ok := bytes.Cut(rest, []byte(`\n</user_request>\n\n<agent_history>\n`))
	if !ok {
		return false
	}
	steps, _, ok := bytes.Cut(rest, []byte(`\n</agent_history>\n\n<agent_state>\n`))
	if !ok {
		return false
	}
	t.person(textSalt, xxhash.Sum64(trim(task)))
	for more := !t.openingOnly; more && t.more(); {
		var step []byte
		step, steps, more = bytes.Cut(steps, []byte(`\n<step>\n`))
		t.person(textSalt, xxhash.Sum64(trim(step)))
	}
	t.passed = true
	return true
}
