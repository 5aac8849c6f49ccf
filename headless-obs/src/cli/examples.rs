//! Examples at the end of each `--help`.

pub(super) const MAIN: &str = "\
Examples:
  # which clients connect to which pods
  sudo headless-obs report --for 30s
  # the same, live
  sudo headless-obs top
  # the daemon: metrics on http://127.0.0.1:9464/metrics
  sudo headless-obs run
  # the cause of one Service's spread, and what to change
  headless-obs explain shop/orders --from 127.0.0.1:9464
  # the report of a running daemon
  headless-obs report --from 127.0.0.1:9464
  # the requirements that this machine does not meet
  sudo headless-obs doctor

For more, run `headless-obs COMMAND --help`.";

pub(super) const RUN: &str = "\
Examples:
  sudo headless-obs run
  sudo headless-obs run --topology files:/etc/headless-obs/ --listen 0.0.0.0:9464
  # in a pod: Services and pods from the cluster's API server
  headless-obs run --node \"$NODE_NAME\"
  # prints {\"url\": …} once the HTTP server answers
  sudo headless-obs run -o json
  # whether the daemon is ready, and if not, why
  curl -s localhost:9464/readyz
  # the report as a page
  xdg-open http://localhost:9464/

SIGTERM and Ctrl-C end the daemon. It leaves nothing in the kernel.";

pub(super) const REPORT: &str = "\
Examples:
  sudo headless-obs report --for 1m
  sudo headless-obs report --topology files:cluster.yaml --service shop/orders
  sudo headless-obs report --kubeconfig ~/.kube/config --node node-1
  headless-obs report --from http://127.0.0.1:9464
  # two nodes, merged; snapshot files work, too
  headless-obs report --from node1:9464 --from node2:9464
  # all daemons of a cluster, through its API server
  headless-obs report --fleet --context prod
  headless-obs report --prometheus http://localhost:9090 --for 1h
  headless-obs report --from node1:9464 -o json | jq '.services[].spread'
  # a page to attach to a ticket; the daemon serves it at /
  headless-obs report --from node1:9464 -o html > report.html
  headless-obs report --from node1:9464 --fail-on imbalance,stale > report.txt || exit $?

With --fail-on the exit code is 3 if there is a finding. If too many events were lost, or the list \
of Services and pods is incomplete, there are no verdicts: that is a warning on standard error, \
not a finding.";

pub(super) const EXPLAIN: &str = "\
Examples:
  headless-obs explain shop/orders --from 127.0.0.1:9464
  headless-obs explain shop/orders --fleet
  # which pods hold which connections, the busiest first
  headless-obs explain shop/orders --connections --fleet
  headless-obs explain shop/orders --connections --client shop/web --sort age --from node1:9464
  sudo headless-obs explain shop/orders --for 5m --kubeconfig ~/.kube/config --node node-1
  sudo headless-obs explain db.example.net --topology dns
  headless-obs explain shop/orders --from node1:9464 -o json | jq '.service.clients[].verdict'

docs/verdicts.md describes each verdict.";

pub(super) const DIFF: &str = "\
Examples:
  sudo headless-obs report --for 5m -o json > before.json
  sudo headless-obs report --for 5m -o json > after.json
  headless-obs diff before.json after.json
  headless-obs report --from node1:9464 -o json | headless-obs diff before.json - -o json

The snapshots cover different times, so diff compares shares and rates, not totals.";

pub(super) const TOP: &str = "\
Examples:
  sudo headless-obs top
  sudo headless-obs top --dns-names '*.example.org' --dns-public
  headless-obs top --from 127.0.0.1:9464 --interval 5s
  # all daemons of a cluster
  headless-obs top --fleet --interval 10s
  # one snapshot per line and interval
  headless-obs top --from 127.0.0.1:9464 -o json

Press ? for the keys.";

pub(super) const TRACE: &str = "\
Examples:
  sudo headless-obs trace
  sudo headless-obs trace --service shop/orders
  sudo headless-obs trace -o json | jq -c 'select(.kind == \"failed\")'
  # the events of running daemons, until Ctrl-C
  headless-obs trace --from node1:9464 --from node2:9464 --service shop/orders
  # every change of a verdict in a cluster
  headless-obs trace --fleet --kind verdict -o json";

pub(super) const DOCTOR: &str = "\
Examples:
  sudo headless-obs doctor
  sudo headless-obs doctor --topology files:cluster.yaml --listen 0.0.0.0:9464
  # also checks the API server's permissions
  sudo headless-obs doctor --topology kubernetes
  sudo headless-obs doctor -o json | jq '.checks[] | select(.status != \"ok\")'

The exit code is 1 if any check failed.";

pub(super) const COMPLETIONS: &str = "\
Examples:
  headless-obs completions bash > /etc/bash_completion.d/headless-obs
  headless-obs completions zsh > \"${fpath[1]}/_headless-obs\"
  headless-obs completions fish > ~/.config/fish/completions/headless-obs.fish";

pub(super) const MAN: &str = "\
Examples:
  headless-obs man | man -l -
  headless-obs man > /usr/local/share/man/man1/headless-obs.1";
