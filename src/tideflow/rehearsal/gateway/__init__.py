"""What answers where the load balancer of a rehearsal would: nginx, the mesh, and the login behind them.

Each module is one part of the way that a request takes, and decides by the objects that are live at that
moment. So what is wrong with an object shows as it would on a real cluster: as a request that fails.

    listening   a port of loopback, over which both HTTP and HTTPS come
    nginx       Ingresses: certificates, redirects, which Service
    firewall    NetworkPolicies: who reaches a pod, and who waits in vain
    mesh        Gateways and VirtualServices: which Service, by which path
    authentication, authorization   tokens, and what may pass
    issuer      Dex, as far as its login with a password goes
    programs    the real oauth2-proxy, and what pods read when they start
"""
