"""Every setting of a platform: its default, its unit, and why one would change it.

Change them here, for one platform in ``group_data/<platform>.py``, or for one run with
``--data NAME=VALUE``.
"""

# --- The cluster ------------------------------------------------------------------------------------------

# DigitalOcean's slug of a region; nodes, volumes and the load balancer are there. It cannot be changed later.
region = "nyc3"

# UUID of the VPC that nodes, load balancer and other droplets reach each other in. None: the region's default
# one. It cannot be changed later.
vpc = None

# Minor version of Kubernetes, of which the newest patch that is offered is taken; or a version of
# DigitalOcean's, such as "1.34.1-do.2". Each release of Kubeflow supports certain minors only (see
# vendored/kubeflow.toml), so "latest" is refused. A newer one upgrades a cluster that exists, for good.
kubernetes_version = "1.34"

# Set to true to try a minor that the release of Kubeflow does not list; nobody has promised that it works.
unsupported_kubernetes = False

# Nodes, and DigitalOcean's slug of their size. Three of 4 vCPU and 8 GB hold all of Kubeflow 26.03 or 1.10.2.
# s-2vcpu-4gb was the classic choice, three of them and later five. Five have the room in sum, but istiod asks
# for 2 GiB in one piece, and beside DigitalOcean's own pods such a node has a little less than that.
# A higher node_count adds nodes to a cluster that exists; a lower one takes scale_down, another size
# replace_nodes.
node_count = 3
node_size = "s-4vcpu-8gb"

# Set to true in one run (--data scale_down=true) to have nodes deleted that are more than node_count, or than
# node_autoscale allows. Run without it first: it names the nodes, and the pods that would not start again
# elsewhere or would lose what they keep on the node.
scale_down = False

# Set to true in one run (--data replace_nodes=true) to have nodes of another node_size: new ones are made in
# a pool of their own, the old ones are drained and deleted. Both are billed meanwhile.
replace_nodes = False

# The settings below are None unless you set them: then DigitalOcean decides for a new cluster, and what a
# cluster has is left as it is.

# Least and most nodes between which DigitalOcean scales the pool by what pods ask for, such as [3, 6], to pay
# for more only while they are needed; node_count is then what the pool begins with. False switches it off.
node_autoscale = None

# True runs the control plane on several machines, for a monthly price of its own; DigitalOcean does not take
# that back. A new cluster has it only if this is true.
high_availability = None

# True lets DigitalOcean install new patches of the Kubernetes minor in the maintenance window.
auto_upgrade = None

# True makes new nodes before old ones are drained in an upgrade: faster, and with room for all pods.
surge_upgrade = None

# When DigitalOcean may work on the cluster for four hours: day and start in UTC, such as "sunday 02:00", or
# "any 02:00". Have it when nobody trains.
maintenance_window = None

# DigitalOcean's tags of the cluster, such as ["team-a"], for bills and searches. A list is made true: other
# tags go. Tideflow's own two, "tideflow" and "tideflow:<platform>", are always there, and are how it knows
# what is its own.
cluster_tags = None

# Set to true in one run (--data adopt_cluster=true) to take over a cluster of the platform's name that
# Tideflow did not make. Without it such a cluster is left alone, and the run says what differs.
adopt_cluster = False

# DigitalOcean's 1-click applications for the cluster. metrics-server is what Kubeflow's autoscalers ask;
# without ingress-nginx, set edge = "istio". One that is taken out of the list stays in the cluster. Leave
# "cert-manager" out: it would be in the namespace that Kubeflow's own has.
addons = ["ingress-nginx", "metrics-server"]

# --- Who reaches it ---------------------------------------------------------------------------------------

# The name under which browsers reach Kubeflow; its DNS record leads to the load balancer, see dns_zone. The
# default is a placeholder: a rehearsal uses kubeflow.localhost instead (but with a dns_zone that the
# placeholder is in), a real platform refuses it.
hostname = "kubeflow.example.com"

# The domain of the DigitalOcean account that the hostname is in, such as "my-company.com": then the record is
# made there, and kept leading to the load balancer. None: it is yours to make, and the run says which.
dns_zone = None

# True makes one record more, for all names below the hostname (*.kubeflow.my-company.com).
dns_wildcard = False

# Set to true in one run (--data dns_overwrite=true) to replace records of the hostname that Tideflow did not
# make. Without it they are left alone, and the run names them.
dns_overwrite = False

# Minutes to wait until name servers tell the record, after which a run ends and the next one goes on; 0 never
# waits. None: 5, but no time in a rehearsal without dns_zone, for which nobody makes records.
dns_wait_minutes = None

# Who logs in, and who owns the first Profile. A placeholder too: a real platform refuses it.
email = "user@example.com"

# A list of others who log in, each with a Profile of their own: e-mail addresses, for which a password is
# asked for once, or mappings with the bcrypt hash of one, {"email": "ada@example.org", "hash": "$2b$12$…"}.
# Who is taken out is locked out; the Profile stays.
users = ()

# What has the load balancer: "nginx", the 1-click ingress-nginx with an Ingress for the hostname, or "istio",
# Kubeflow's own ingress gateway, with nothing between. nginx is retired upstream: where DigitalOcean does not
# offer it any more, and the cluster does not have it, it is "istio" all the same.
edge = "nginx"

# Whether people reach it over HTTPS, and who issues the certificate:
#   "acme"         Let's Encrypt, once DNS leads to the load balancer; browsers trust it, and it is renewed by
#                  itself. The name and the certificate are public then.
#   "files"        whoever issued the one in tls_certificate; it is yours to renew.
#   "self-signed"  a CA of the platform's own, whose certificate people import (the end of a run says where it
#                  is). For names that the world cannot look up, and for trying out.
#   "off"          nobody: passwords and sessions travel in clear, and notebooks refuse to be created.
# None: "acme", or "self-signed" in a rehearsal.
tls = None

# Whom Let's Encrypt writes to if something is wrong with the certificate; tls = "acme" needs it on a real
# platform.
acme_email = None

# With tls = "files": the certificate, followed by the intermediate ones, and its key (mode 0600, without a
# passphrase), as paths of PEM files. After they are renewed, run deploys/ingress.py.
tls_certificate = None
tls_key = None

# The settings of the load balancer; None leaves what is there, and one that is set no more is taken back.

# How many nodes it has, 1 to 100, each for more connections and for a price of its own. DigitalOcean changes
# it once an hour, and not in the first hour.
load_balancer_size = None

# Networks that may connect, such as ["192.0.2.0/24"]; all others may not, nor may who checks a certificate's
# name over HTTP.
load_balancer_sources = None

# True tells the addresses of clients to nginx by the PROXY protocol. Inside of the cluster the load balancer
# is then known by the hostname, which has to have its DNS record.
load_balancer_proxy_protocol = False

# Seconds that an HTTP connection may be silent, 30 to 600 (DigitalOcean's default is 60). Notebooks are,
# while a cell computes.
load_balancer_idle_seconds = None

# Set to true in one run (--data change_password=true) to choose another password; of others than the owner
# with a list of their e-mails: --data 'change_password=["ada@my-company.com"]'.
change_password = False

# Set to true in one run (--data rotate_credentials=true) to have the credentials that programs use among each
# other made anew, and what reads them restarted; everybody has to log in again. Databases are left, with a
# word on what to do by hand.
rotate_credentials = False

# --- What goes --------------------------------------------------------------------------------------------

# What to delete of what a step once applied and no longer has, as when a new release of Kubeflow dropped it:
#   "off"         nothing; the run says what is left.
#   "objects"     all but what would take users' data with it. An old controller or webhook that stays can
#                 break a new release, so this is the default.
#   "everything"  Namespaces, definitions (CRDs), volumes and claims, Profiles and credentials too. What is in
#                 them is lost, so ask for it in one run only, after a look at what --dry lists:
#                 --data prune=everything
prune = "objects"

# What deploys/teardown.py leaves. True keeps the cluster's volumes, with all data in them; they go on being
# billed, and the step says how to delete each later.
keep_volumes = False

# True has it delete the snapshots of those volumes too, which are somebody's backups.
delete_snapshots = False

# --- Patience ---------------------------------------------------------------------------------------------

# Minutes a step may wait for what it made. First starts on small nodes are slow; 30 is generous.
timeout_minutes = 30

# Minutes after which a run's own access to the cluster expires (.tideflow/<platform>/access, which later runs
# use too while it holds). Short, since whoever reads that file is an administrator; a longer run renews it.
access_minutes = 60

# Hours after which the token in .tideflow/<platform>/kubeconfig, for your kubectl, expires; a run that finds
# less than a sixth of it left writes a new one.
kubeconfig_hours = 12

# --- Rehearsal only ---------------------------------------------------------------------------------------

# "quick", or "realistic": pods take 20 to 90 s, about a quarter of what pulling images takes on new nodes,
# databases come up last, and what needs them crashes until they do. For trying out patience; takes minutes.
rehearsal_pace = "quick"

# Seconds a pod takes to become ready in the quick pace: the least and the most.
rehearsal_pod_ready_seconds = [1.0, 4.0]

# How many times faster than DigitalOcean its twin provisions; a cluster really takes 4 to 10 minutes.
rehearsal_speed = 60
